//! Draws the medians as bars: reads and counts, each with one connection and with 64.

use std::fmt::Write;

use crate::results::Results;

const ROWS: [(&str, &str); 2] = [
    ("read", "read a session, requests/s"),
    ("count", "count in one of 5,000 sessions, requests/s"),
];
const CONNECTIONS: [(u32, &str); 2] = [(1, "1 connection"), (64, "64 connections")];

const WIDTH: f64 = 800.0;
/// Where the names of the servers begin, and where the bars of the first column do.
const NAMES: f64 = 12.0;
const BARS: f64 = 160.0;
/// From one column of bars to the next, and the longest bar. The rest is for the number.
const COLUMN: f64 = 320.0;
const LONGEST: f64 = 235.0;
const BAR: f64 = 20.0;
const GAP: f64 = 6.0;
/// Above the bars of a row: its title and the titles of its columns.
const TITLES: f64 = 56.0;

const TEXT: &str = "#1c2330";
const OURS: &str = "#1d4fd8";
const OTHERS: &str = "#8a94a6";

pub fn plot(results: &Results) -> String {
    let servers: Vec<&str> = results.servers().collect();
    let row = TITLES + servers.len() as f64 * (BAR + GAP) + 12.0;
    let height = row * ROWS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Requests per second of each server with 1 and with 64 connections\" \
         font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (number, (load, title)) in ROWS.into_iter().enumerate() {
        let top = number as f64 * row;
        text(&mut svg, (NAMES, top + 26.0), "bold", title);
        for (line, server) in servers.iter().enumerate() {
            text(&mut svg, (NAMES, baseline(top, line)), "normal", server);
        }
        for (column, (connections, title)) in CONNECTIONS.into_iter().enumerate() {
            let left = BARS + column as f64 * COLUMN;
            text(&mut svg, (left, top + 48.0), "normal", title);
            let metric = format!("{load}_{connections}_per_s");
            bars(&mut svg, results, &metric, (left, top));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws a column of bars. Its longest bar has the whole width, as rates with one connection would
/// be invisible beside those with 64.
fn bars(svg: &mut String, results: &Results, metric: &str, (left, top): (f64, f64)) {
    let rate = |server: &str| results.typical(server, metric);
    let longest = results.servers().filter_map(rate).fold(1.0, f64::max);
    for (line, server) in results.servers().enumerate() {
        let y = baseline(top, line);
        let Some(rate) = rate(server) else {
            text(svg, (left, y), "normal", "not measured");
            continue;
        };
        let length = rate / longest * LONGEST;
        let colour = if ["ours", "application"].contains(&server) {
            OURS
        } else {
            OTHERS
        };
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
            y - 15.0
        );
        text(svg, (left + length + 6.0, y), "normal", &thousands(rate));
    }
}

fn baseline(top: f64, line: usize) -> f64 {
    top + TITLES + line as f64 * (BAR + GAP) + 15.0
}

fn text(svg: &mut String, (x, y): (f64, f64), weight: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.0}\" font-weight=\"{weight}\" fill=\"{TEXT}\">{text}</text>"
    );
}

/// Writes a rate with a comma after each three digits.
fn thousands(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{plot, thousands};
    use crate::results::Results;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }

    #[test]
    fn the_longest_bar_of_each_column_has_the_whole_width() {
        let text = "1\tours\tread_1_per_s\t2000\n1\taxum_tower\tread_1_per_s\t1000\n\
                    1\tours\tread_64_per_s\t40000\n1\taxum_tower\tread_64_per_s\t10000\n";
        let svg = plot(&Results::parse(text).unwrap());
        let count = |part: &str| svg.matches(part).count();
        assert_eq!(count("width=\"235.0\""), 2);
        assert_eq!(count("width=\"117.5\""), 1);
        assert_eq!(count("width=\"58.8\""), 1);
        assert_eq!(count("not measured"), 4);
    }
}
