//! Tables for people. What comes from visitors cannot move the cursor, change colours or turn the
//! direction of the text.

use chrono::{DateTime, Utc};
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, presets};
use console::Term;
use rocket_diesel_sessions_app::words::until;

/// In fewer columns, columns of a table would be a few letters wide; the terminal breaks the lines.
const NARROWEST: u16 = 60;

/// A table without lines, as wide as the terminal at most; where there is none, as wide as it gets.
pub(in crate::cli) struct Table(comfy_table::Table);

impl Table {
    /// Of a row for each thing. The first `fixed` columns are never broken, so that what is in
    /// them can be copied.
    pub(in crate::cli) fn of_rows(header: &[&str], fixed: usize) -> Self {
        let mut table = Self::empty();
        table.0.set_header(header.iter().map(Cell::new));
        for index in 0..fixed {
            table.keep_whole(index);
        }
        table
    }

    /// Of a line for each field of one thing.
    pub(in crate::cli) fn of_fields<'a>(
        fields: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let mut table = Self::empty();
        for (name, value) in fields {
            table.0.add_row([name, &printable_lines(&value)]);
        }
        table.keep_whole(0);
        table
    }

    pub(in crate::cli) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| Cell::new(printable(&cell)));
        self.0.add_row(Row::from(cells));
    }

    fn empty() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        if let Some((_, columns)) = Term::stdout().size_checked()
            && columns >= NARROWEST
        {
            table.set_width(columns);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        Self(table)
    }

    fn keep_whole(&mut self, index: usize) {
        if let Some(column) = self.0.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The padding in front of the first column is of no use without lines.
        let text = self.0.trim_fmt();
        let mut lines = text
            .lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(line));
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// The value, or a dash.
pub(in crate::cli) fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

/// As in "2026-11-24 19:43:06 UTC (3 minutes ago)".
pub(in crate::cli) fn date(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = until(time, now);
    format!("{} ({distance})", time.format("%Y-%m-%d %H:%M:%S UTC"))
}

/// As in "3m ago" and "in 23h", for columns.
pub(in crate::cli) fn distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = time - now;
    let seconds = distance.num_seconds().unsigned_abs();
    let short = match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    };
    if distance.num_seconds() > 0 {
        format!("in {short}")
    } else {
        format!("{short} ago")
    }
}

/// Whether a character only shows something: no control, and none that changes the direction of
/// the text or cannot be seen.
pub(in crate::cli) fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text in one line, with escapes such as `\n` and `\u{1b}` for what does not print.
pub(in crate::cli) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    safe
}

/// The same, with its own line breaks.
pub(in crate::cli) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn what_does_not_print_is_escaped() {
        for (text, expected) in [
            ("Zoë 👋 日本", "Zoë 👋 日本"),
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("abc\u{202e}fdp.exe", "abc\\u{202e}fdp.exe"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable_lines("a\n\u{1b}"), "a\n\\u{1b}");
    }

    #[test]
    fn a_distance_is_short() {
        let now = Utc::now();
        for (seconds, expected) in [
            (0, "0s ago"),
            (-59, "59s ago"),
            (-60, "1m ago"),
            (24 * 3600 - 1, "in 23h"),
            (-25 * 24 * 3600, "25d ago"),
        ] {
            assert_eq!(distance(now + TimeDelta::seconds(seconds), now), expected);
        }
    }

    #[test]
    fn a_table_has_no_lines_and_no_blanks_around() {
        let mut table = Table::of_rows(&["NAME", "IP"], 1);
        table.row(["ada".to_owned(), "::1\u{1b}".to_owned()]);
        table.row(["bob the builder".to_owned(), or_dash(None)]);
        let expected = "NAME             IP\nada              ::1\\u{1b}\nbob the builder  -";
        assert_eq!(table.to_string(), expected);
    }
}
