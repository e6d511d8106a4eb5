//! Bar charts of usage, in SVG.
//!
//! Every length is a percentage of the plot, so that it fits any width while text keeps its size.

mod scale;
mod subject;

use askama::Template;
use chrono::{DateTime, Timelike, Utc};

use super::hours::{Range, Row, Step};
use crate::words::grouped;
use scale::{Columns, Level, Percent, Scale};
use subject::{Subject, subjects};

/// A chart and its table.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the chart shows, in words.
    pub(super) summary: String,
    pub(super) series: Vec<Series>,
    pub(super) plot: Plot,
    /// The name of the times in the table.
    pub(super) step: &'static str,
    /// Newest first.
    pub(super) rows: Vec<TableRow>,
}

/// A series of numbers.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) label: &'static str,
}

/// A row of the table.
pub(super) struct TableRow {
    pub(super) at: DateTime<Utc>,
    pub(super) shown: String,
    pub(super) numbers: Vec<u64>,
}

/// All charts of a range.
pub(super) fn charts(rows: &[Row], range: Range) -> Vec<Chart> {
    subjects()
        .into_iter()
        .map(|subject| subject.chart(rows, range))
        .collect()
}

impl Subject {
    fn chart(self, rows: &[Row], range: Range) -> Chart {
        let step = range.step();
        let numbers: Vec<Vec<u64>> = rows.iter().map(self.numbers).collect();
        let totals: Vec<u64> = numbers.iter().map(|numbers| total(numbers)).collect();
        let scale = Scale::of(&totals);
        let mut summary = (self.summary)(rows, step);
        if scale.is_clipped(&totals) {
            summary += ". Bars that end in a mark are higher than the chart";
        }
        let title = self.title.to_lowercase();
        let table = rows
            .iter()
            .zip(&numbers)
            .rev()
            .map(|(row, numbers)| TableRow {
                at: row.at,
                shown: step.shown(row.at),
                numbers: numbers.clone(),
            });
        Chart {
            id: self.id,
            title: self.title,
            summary,
            step: step.name(),
            rows: table.collect(),
            plot: Plot {
                label: format!(
                    "Bar chart of {title} per {}, last {}",
                    step.name(),
                    range.title()
                ),
                unit: self.unit,
                times: step.name(),
                levels: scale.levels(),
                marks: marks(rows, range),
                bars: bars(rows, &numbers, &self.series, &scale, step),
            },
            series: self.series,
        }
    }
}

fn total(numbers: &[u64]) -> u64 {
    numbers
        .iter()
        .fold(0, |sum, number| sum.saturating_add(*number))
}

/// The SVG.
#[derive(Template)]
#[template(path = "admin/chart.svg")]
pub(super) struct Plot {
    label: String,
    /// What the labels of the vertical axis are.
    unit: &'static str,
    /// What the labels of the horizontal axis are.
    times: &'static str,
    levels: Vec<Level>,
    marks: Vec<Mark>,
    bars: Vec<Bar>,
}

/// A label of the horizontal axis.
struct Mark {
    x: Percent,
    label: String,
    /// Whether narrow screens leave it out.
    is_minor: bool,
}

/// The parts of a bar, over a rectangle as high as the plot, which shows the title when the pointer is on
/// it.
struct Bar {
    title: String,
    x: Percent,
    width: Percent,
    middle: Percent,
    parts: Vec<Part>,
    /// Whether the bar is higher than the plot.
    is_clipped: bool,
}

struct Part {
    class: &'static str,
    x: Percent,
    y: Percent,
    width: Percent,
    height: Percent,
}

/// Labels about seven times of the range, the newest one last.
fn marks(rows: &[Row], range: Range) -> Vec<Mark> {
    let columns = Columns::new(rows.len());
    let format = if range == Range::Day {
        "%H:00"
    } else {
        "%-d %b"
    };
    let last = rows.len().saturating_sub(1);
    let is_marked = |place: usize, row: &Row| match range {
        Range::Day => row.at.hour().is_multiple_of(3),
        Range::Week => row.at.hour() == 0,
        Range::Month => (last - place).is_multiple_of(5),
        Range::Quarter => (last - place).is_multiple_of(15),
    };
    let marked = rows
        .iter()
        .enumerate()
        .filter(|(place, row)| is_marked(*place, row));
    let mut marks: Vec<Mark> = marked
        .map(|(place, row)| Mark {
            x: columns.middle(place as u64),
            label: row.at.format(format).to_string(),
            is_minor: false,
        })
        .collect();
    for (number, mark) in marks.iter_mut().rev().enumerate() {
        mark.is_minor = !number.is_multiple_of(2);
    }
    marks
}

fn bars(
    rows: &[Row],
    numbers: &[Vec<u64>],
    series: &[Series],
    scale: &Scale,
    step: Step,
) -> Vec<Bar> {
    let columns = Columns::new(rows.len());
    let bar = |(place, (row, numbers)): (u64, (&Row, &Vec<u64>))| {
        let (x, width) = columns.column(place);
        let named = numbers.iter().zip(series);
        let named = named.filter(|(number, _)| series.len() == 1 || **number > 0);
        let named: Vec<String> = named
            .map(|(number, series)| format!("{} {}", grouped(*number), series.label))
            .collect();
        let named = if named.is_empty() {
            "none".to_owned()
        } else {
            named.join(", ")
        };
        let (bar_x, bar_width) = columns.bar(place);
        let parts = series.iter().zip(scale.stack(numbers));
        Bar {
            title: format!("{} UTC: {named}", step.shown(row.at)),
            x,
            width,
            middle: columns.middle(place),
            parts: parts
                .filter_map(|(series, span)| {
                    let (y, height) = span?;
                    Some(Part {
                        class: series.class,
                        x: bar_x,
                        y,
                        width: bar_width,
                        height,
                    })
                })
                .collect(),
            is_clipped: scale.clips(total(numbers)),
        }
    };
    (0..).zip(rows.iter().zip(numbers)).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::admin::overview::hours::{rows, tests::hour};

    fn charts_of(created: u64, ended: [u64; 5], range: Range) -> Vec<Chart> {
        let stats = [
            hour("2026-01-02T09:00:00Z", created, ended, 40),
            hour("2026-01-02T11:00:00Z", 7, [0; 5], 4),
        ];
        let now: DateTime<Utc> = "2026-01-02T11:59:59Z".parse().unwrap();
        charts(&rows(&stats, now, range), range)
    }

    #[test]
    fn every_number_has_a_bar_and_every_time_a_title() {
        for (range, times) in [(Range::Day, 24), (Range::Week, 168), (Range::Month, 31)] {
            let charts = charts_of(300, [1, 0, 0, 99, 0], range);
            let [active, created, ended, users] = &charts[..] else {
                panic!("four charts")
            };
            for (chart, class, number) in [
                (active, "series-1", 2),
                (created, "series-1", 2),
                (ended, "series-5", 1),
                (users, "series-1", 0),
            ] {
                let svg = chart.plot.render().unwrap();
                // Both hours are of one day.
                let number = if range == Range::Month {
                    number.min(1)
                } else {
                    number
                };
                let bars = svg.matches(&format!("class=\"{class}\"")).count();
                assert_eq!(bars, number, "{}: {svg}", chart.id);
                assert_eq!(svg.matches("<title>").count(), times, "{svg}");
                assert_eq!(chart.rows.len(), times);
            }
            let svg = ended.plot.render().unwrap();
            assert!(
                svg.contains("UTC: 1 signed out, 99 expired</title>"),
                "{svg}"
            );
            assert!(
                created.summary.starts_with("307 sessions created; most 30"),
                "{}",
                created.summary
            );
        }
    }

    #[test]
    fn one_number_far_above_all_others_does_not_hide_them() {
        let stats: Vec<_> = (0..10)
            .map(|number| {
                let at = format!("2026-01-02T0{number}:00:00Z");
                hour(
                    &at,
                    if number == 5 { 100_000 } else { 100 + number },
                    [0; 5],
                    0,
                )
            })
            .collect();
        let now: DateTime<Utc> = "2026-01-02T09:59:59Z".parse().unwrap();
        let charts = charts(&rows(&stats, now, Range::Day), Range::Day);
        let created = &charts[1];
        let bars = &created.plot.bars;
        assert_eq!(bars.iter().filter(|bar| bar.is_clipped).count(), 1);
        assert!(
            bars[23].parts[0].height > Percent(2_000),
            "{:?}",
            bars[23].parts[0].height
        );
        assert!(
            created.summary.contains("most 100,000"),
            "{}",
            created.summary
        );
        assert!(
            created.summary.contains("higher than the chart"),
            "{}",
            created.summary
        );
    }

    #[test]
    fn nothing_and_very_much_stay_within_the_plot() {
        for numbers in [(0, [0; 5]), (u64::MAX, [u64::MAX / 5; 5]), (1, [1; 5])] {
            for chart in charts_of(numbers.0, numbers.1, Range::Week) {
                for part in chart.plot.bars.iter().flat_map(|bar| &bar.parts) {
                    assert!(part.y.0 + part.height.0 <= 10_000);
                }
                chart.plot.render().unwrap();
            }
        }
    }
}
