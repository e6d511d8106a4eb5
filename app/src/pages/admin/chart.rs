//! Sessions created and ended by the hour, as inline SVG.

use std::fmt::Display;

use chrono::Timelike;
use plotters::prelude::*;

use super::hours::{Row, summary};

/// Width and height in the SVG's own units; the page scales it.
const SIZE: (u32, u32) = (600, 220);

/// What the elements are drawn in, to be told apart: the stylesheet gives them their colours.
const CREATED: RGBColor = RGBColor(1, 0, 0);
const ENDED: RGBColor = RGBColor(2, 0, 0);
const GRID: RGBColor = RGBColor(3, 0, 0);
const TEXT: RGBColor = RGBColor(4, 0, 0);

/// How those are written, and the attribute that takes their place.
const CLASSES: [(&str, &str); 4] = [
    ("fill=\"#010000\"", "class=\"created\""),
    ("fill=\"#020000\"", "class=\"ended\""),
    ("stroke=\"#030000\"", "class=\"grid\""),
    ("fill=\"#040000\"", "class=\"text\""),
];

/// A chart and its table.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// In words, what the chart shows.
    pub(super) summary: String,
    pub(super) svg: String,
    pub(super) rows: Vec<Row>,
}

impl Chart {
    /// The last day by the hour.
    pub(super) fn of_day(hours: &[Row]) -> Result<Self, String> {
        let hours = &hours[hours.len().saturating_sub(24)..];
        let every = |hour: u32| hour.is_multiple_of(3);
        Ok(Self {
            id: "day",
            title: "Last 24 hours",
            summary: summary(hours),
            svg: draw(hours, every, "%H:00")?,
            rows: hours.to_vec(),
        })
    }

    /// The last week by the hour.
    pub(super) fn of_week(hours: &[Row]) -> Result<Self, String> {
        Ok(Self {
            id: "week",
            title: "Last 7 days",
            summary: summary(hours),
            svg: draw(hours, |hour| hour == 0, "%-d %b")?,
            rows: hours.to_vec(),
        })
    }
}

/// Created upwards, ended downwards, so that neither needs a colour to be told from the other.
fn draw(rows: &[Row], is_marked: impl Fn(u32) -> bool, format: &str) -> Result<String, String> {
    let mut svg = String::new();
    let most = |number: fn(&Row) -> u64| rows.iter().map(number).max().unwrap_or_default();
    let marks = ticks(most(|row| row.created), most(|row| row.ended));
    let (lowest, highest) = (marks[0], marks[marks.len() - 1]);
    let hours: Vec<i32> = (0i32..)
        .zip(rows)
        .filter(|(_, row)| is_marked(row.at.hour()))
        .map(|(place, _)| place)
        .collect();
    let end = i32::try_from(rows.len()).map_err(text)?;
    let label = |place: &i32| {
        let row = usize::try_from(*place)
            .ok()
            .and_then(|place| rows.get(place));
        row.map_or_else(String::new, |row| row.at.format(format).to_string())
    };
    let style = |size: u32| ("sans-serif", size).into_font().color(&TEXT);

    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(48)
        .build_cartesian_2d(
            (0..end).with_key_points(hours),
            (lowest..highest).with_key_points(marks),
        )
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(TRANSPARENT)
        .x_label_style(style(17))
        .y_label_style(style(17))
        .x_label_formatter(&label)
        .y_label_formatter(&|value| short(value.unsigned_abs()))
        .draw()
        .map_err(text)?;
    for (place, row) in (0..).zip(rows) {
        for (value, colour) in [(signed(row.created), CREATED), (-signed(row.ended), ENDED)] {
            if value != 0 {
                let mut bar = Rectangle::new([(place, value), (place + 1, 0)], colour.filled());
                // Air between the bars, where there is room for it.
                let air = if end > 48 { 0 } else { 3 };
                bar.set_margin(0, 0, air, air);
                chart.draw_series([bar]).map_err(text)?;
            }
        }
    }
    drop(chart);
    root.present().map_err(text)?;
    drop(root);
    Ok(themed(&svg))
}

/// The SVG without its colours and its fixed size.
fn themed(svg: &str) -> String {
    let start = svg.find("viewBox").unwrap_or_default();
    let mut themed = format!("<svg aria-hidden=\"true\" {}", &svg[start..]);
    for (colour, class) in CLASSES {
        themed = themed.replace(colour, class);
    }
    themed
}

/// Round numbers from the most that ended, below zero, to the most that were created.
fn ticks(created: u64, ended: u64) -> Vec<i64> {
    let (created, ended) = (signed(created.max(1)), signed(ended));
    let least = (created.saturating_add(ended) / 4).max(1);
    let mut step = 1_i64;
    for factor in [2, 5, 10].into_iter().cycle() {
        if step >= least {
            break;
        }
        // 1, 2, 5, 10, 20, 50 and so on.
        step = match factor {
            5 => step.saturating_mul(5) / 2,
            _ => step.saturating_mul(2),
        };
    }
    let above = created.div_euclid(step) + i64::from(created % step != 0);
    let below = ended.div_euclid(step) + i64::from(ended % step != 0);
    (-below..=above)
        .map(|number| number.saturating_mul(step))
        .collect()
}

/// A number with at most four characters or so.
fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// Counts far beyond any table's size would not fit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(1 << 50)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::admin::hours::{rows, tests::hour};

    #[test]
    fn a_chart_has_a_bar_for_each_number_and_no_style_of_its_own() {
        let stats = [
            hour("2026-01-02T09:00:00Z", 3, [0, 1, 0, 4, 0]),
            hour("2026-01-02T11:00:00Z", 7, [0; 5]),
        ];
        let week = rows(&stats, "2026-01-02T11:59:59Z".parse().unwrap(), 168);
        for chart in [
            Chart::of_day(&week).unwrap(),
            Chart::of_week(&week).unwrap(),
        ] {
            let svg = chart.svg;
            assert_eq!(svg.matches("class=\"created\"").count(), 2, "{svg}");
            assert_eq!(svg.matches("class=\"ended\"").count(), 1, "{svg}");
            assert!(!svg.contains("style") && !svg.contains('#'), "{svg}");
            assert!(
                chart
                    .summary
                    .starts_with("10 sessions created and 5 ended; most")
            );
        }
    }

    #[test]
    fn nothing_and_very_much_can_be_drawn() {
        let now = "2026-01-02T11:00:00Z";
        for stats in [vec![], vec![hour(now, u64::MAX, [u64::MAX / 5; 5])]] {
            let rows = rows(&stats, now.parse().unwrap(), 168);
            assert!(Chart::of_week(&rows).is_ok());
        }
    }

    #[test]
    fn ticks_are_round_and_hold_every_bar() {
        assert_eq!(ticks(0, 0), [0, 1]);
        assert_eq!(ticks(3, 1), [-1, 0, 1, 2, 3]);
        assert_eq!(ticks(90, 30), [-50, 0, 50, 100]);
        assert_eq!(ticks(4000, 1), [-1000, 0, 1000, 2000, 3000, 4000]);
    }
}
