//! Sessions created and ended per hour, as a bar chart in SVG.
//!
//! Bars for created sessions go up and those for ended sessions go down, so they can be told apart
//! without colours. Every length is a percentage of the plot, so that it fits any width while text
//! keeps its size.

mod scale;

use askama::Template;
use chrono::Timelike;

use super::hours::{Row, summary};
use crate::words::grouped;
use scale::{Columns, Level, Percent, Scale};

/// A chart and its table.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the chart shows, in words.
    pub(super) summary: String,
    pub(super) plot: Plot,
    pub(super) rows: Vec<Row>,
}

impl Chart {
    /// The last day by the hour.
    pub(super) fn of_day(hours: &[Row]) -> Self {
        let hours = &hours[hours.len().saturating_sub(24)..];
        let axis = TimeAxis {
            name: "hour",
            is_marked: |hour| hour.is_multiple_of(3),
            format: "%H:00",
        };
        Self::new("day", "Last 24 hours", hours, &axis)
    }

    /// The last week by the hour.
    pub(super) fn of_week(hours: &[Row]) -> Self {
        let axis = TimeAxis {
            name: "day",
            is_marked: |hour| hour == 0,
            format: "%-d %b",
        };
        Self::new("week", "Last 7 days", hours, &axis)
    }

    fn new(id: &'static str, title: &'static str, hours: &[Row], axis: &TimeAxis) -> Self {
        Self {
            id,
            title,
            summary: summary(hours),
            plot: Plot::new(title, hours, axis),
            rows: hours.to_vec(),
        }
    }
}

/// What the horizontal axis shows.
struct TimeAxis {
    name: &'static str,
    /// Returns whether this hour of the day has a label.
    is_marked: fn(u32) -> bool,
    format: &'static str,
}

/// The SVG.
#[derive(Template)]
#[template(path = "admin/chart.svg")]
pub(super) struct Plot {
    label: String,
    /// What the labels of the horizontal axis are.
    times: &'static str,
    levels: Vec<Level>,
    marks: Vec<Mark>,
    hours: Vec<Hour>,
}

/// A label of the horizontal axis.
struct Mark {
    x: Percent,
    label: String,
    /// Whether narrow screens leave it out.
    is_minor: bool,
}

/// The bars of an hour, over a rectangle as high as the plot, which shows the title when the pointer
/// is on it.
struct Hour {
    title: String,
    x: Percent,
    width: Percent,
    bars: Vec<Bar>,
}

struct Bar {
    class: &'static str,
    x: Percent,
    y: Percent,
    width: Percent,
    height: Percent,
}

impl Plot {
    fn new(title: &str, rows: &[Row], axis: &TimeAxis) -> Self {
        let scale = Scale::of(rows);
        let columns = Columns::new(rows.len());
        let marked = (0..)
            .zip(rows)
            .filter(|(_, row)| (axis.is_marked)(row.at.hour()));
        Self {
            label: format!(
                "Bar chart of the sessions created and ended per hour, {}",
                title.to_lowercase()
            ),
            times: axis.name,
            levels: scale.levels(),
            marks: (0_u64..)
                .zip(marked)
                .map(|(number, (place, row))| Mark {
                    x: columns.middle(place),
                    label: row.at.format(axis.format).to_string(),
                    is_minor: !number.is_multiple_of(2),
                })
                .collect(),
            hours: (0..)
                .zip(rows)
                .map(|(place, row)| hour(place, row, &columns, &scale))
                .collect(),
        }
    }
}

fn hour(place: u64, row: &Row, columns: &Columns, scale: &Scale) -> Hour {
    let (x, width) = columns.column(place);
    let mut bars = Vec::with_capacity(2);
    for (class, span) in [
        ("created", scale.above_zero(row.created)),
        ("ended", scale.below_zero(row.ended)),
    ] {
        let (x, width) = columns.bar(place);
        bars.extend(span.map(|(y, height)| Bar {
            class,
            x,
            y,
            width,
            height,
        }));
    }
    Hour {
        title: format!(
            "{} UTC: {} created, {} ended",
            row.at.format("%-d %B, %H:00"),
            grouped(row.created),
            grouped(row.ended)
        ),
        x,
        width,
        bars,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::pages::admin::overview::hours::{rows, tests::hour};

    fn week() -> Vec<Row> {
        let stats = [
            hour("2026-01-02T09:00:00Z", 300, [0, 1, 0, 99, 0]),
            hour("2026-01-02T11:00:00Z", 7, [0; 5]),
        ];
        let now: DateTime<Utc> = "2026-01-02T11:59:59Z".parse().unwrap();
        rows(&stats, now, 168)
    }

    #[test]
    fn every_number_has_a_bar_and_every_hour_a_title() {
        for (chart, hours) in [(Chart::of_day(&week()), 24), (Chart::of_week(&week()), 168)] {
            let svg = chart.plot.render().unwrap();
            for (part, number) in [
                ("class=\"created\"", 2),
                ("class=\"ended\"", 1),
                ("<title>", hours),
                ("class=\"grid zero\"", 1),
            ] {
                assert_eq!(svg.matches(part).count(), number, "{part}: {svg}");
            }
            let title = "<title>2 January, 09:00 UTC: 300 created, 100 ended</title>";
            assert!(svg.contains(title), "{svg}");
            assert!(
                chart
                    .summary
                    .starts_with("307 sessions created and 100 ended; most")
            );
        }
    }

    #[test]
    fn bars_are_as_high_as_their_numbers_and_stand_in_their_hours() {
        let plot = Chart::of_day(&week()).plot;
        // From 300 down to 100 below zero.
        let zero = Percent(7500);
        assert_eq!(plot.levels.len(), 5);
        assert!(plot.levels[3].is_zero && plot.levels[3].y == zero);
        let [created, ended] = &plot.hours[21].bars[..] else {
            panic!("two bars")
        };
        assert_eq!((created.y, created.height), (Percent(0), zero));
        assert_eq!((ended.y, ended.height), (zero, Percent(2500)));
        let [few] = &plot.hours[23].bars[..] else {
            panic!("one bar")
        };
        assert_eq!((few.y, few.height), (Percent(7325), Percent(175)));
        assert!(few.x > plot.hours[23].x && few.x.0 + few.width.0 < 10_000);
        assert!(plot.hours[22].bars.is_empty());
        // The label of 09:00 is below the middle of its bars.
        let nine = plot.marks.iter().find(|mark| mark.label == "09:00");
        assert_eq!(nine.unwrap().x, Percent::of(43, 48));
    }

    #[test]
    fn nothing_and_very_much_stay_within_the_plot() {
        let now = "2026-01-02T11:00:00Z";
        for stats in [vec![], vec![hour(now, u64::MAX, [u64::MAX / 5; 5])]] {
            let rows = rows(&stats, now.parse().unwrap(), 168);
            let plot = Chart::of_week(&rows).plot;
            for bar in plot.hours.iter().flat_map(|hour| &hour.bars) {
                assert!(bar.y.0 + bar.height.0 <= 10_000);
            }
            plot.render().unwrap();
        }
    }
}
