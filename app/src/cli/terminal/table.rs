//! Tables for people. Text from visitors cannot move the cursor, change colours or change the direction of
//! the text.

use chrono::{DateTime, Utc};
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, presets};
use console::Term;
use rocket_diesel_sessions_app::words::until;

/// The narrowest terminal that tables are fitted to. In a narrower one, their columns would be only a few
/// letters wide, so the terminal wraps the lines.
const NARROWEST: u16 = 60;

/// A table without borders. It is at most as wide as the terminal, and of any width without one.
pub(in crate::cli) struct Table(comfy_table::Table);

impl Table {
    /// A table with a row per item. The first `fixed` columns are never wrapped, so that their values
    /// can be copied.
    pub(in crate::cli) fn of_rows(header: &[&str], fixed: usize) -> Self {
        let mut table = Self::empty();
        table.0.set_header(header.iter().map(Cell::new));
        for index in 0..fixed {
            table.keep_whole(index);
        }
        table
    }

    /// A table with a line per field of one item.
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
        // Without borders, the padding before the first column is useless.
        let text = self.0.trim_fmt();
        let mut lines = text
            .lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(line));
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// Returns the value, or a dash.
pub(in crate::cli) fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

/// Returns a time and its distance, as in "2026-11-24 19:43:06 UTC (3 minutes ago)".
pub(in crate::cli) fn date(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = until(time, now);
    format!("{} ({distance})", time.format("%Y-%m-%d %H:%M:%S UTC"))
}

/// Returns a distance in time that fits a column, as in "3m ago" and "in 23h".
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

/// Returns whether a character is safe to print: it is visible or a space, not a control character, and
/// does not change the direction of the text.
pub(in crate::cli) fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Returns the text on one line, with escapes such as `\n` and `\u{1b}` for characters that are not safe
/// to print.
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

/// Returns the text with its line breaks and with escapes for other characters that are not safe to
/// print.
pub(in crate::cli) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn characters_that_are_not_safe_to_print_are_escaped() {
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
