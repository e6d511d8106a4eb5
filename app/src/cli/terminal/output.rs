//! The output of commands.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use rocket::serde::Serialize;
use rocket_diesel_sessions::{SessionHandle, UserId};
use rocket_diesel_sessions_app::monitoring::audit::{Entry, Event};
use rocket_diesel_sessions_app::settings::logging::json_note;

use super::table::{is_printable, printable_lines};
use crate::cli::Failure;

/// The name of the command line in the audit log and in the record of events.
pub(in crate::cli) const COMMAND_LINE: &str = "command_line";

/// Prints one or more lines on standard output.
pub(in crate::cli) fn say(text: impl Display) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Prints the contents of a file on standard output as they are. On a terminal, characters that could harm
/// it are escaped.
pub(in crate::cli) fn say_file(contents: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return say(printable_lines(contents.replace("\r\n", "\n").trim_end()));
    }
    Ok(write!(io::stdout(), "{contents}")?)
}

/// Prints a remark on standard error, apart from the output.
pub(in crate::cli) fn note(text: &str) {
    complain(json_note(text).as_deref().unwrap_or(text));
}

/// Prints a line on standard error. If no one can read it there, it is lost, and nothing else is.
pub(in crate::cli) fn complain(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Prints a value as JSON, for programs.
pub(in crate::cli) fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = rocket::serde::json::to_pretty_string(value)?;
    say(ascii_controls(&json))
}

/// Writes a line of the audit log: what a command did, to which user, and to which session.
pub(in crate::cli) fn audit(
    event: Event,
    user_id: Option<&UserId>,
    session: Option<&SessionHandle>,
) {
    let entry = Entry::new(event).user(user_id).session(session);
    entry.by(COMMAND_LINE).write();
}

/// Returns whether a failure means that the output was closed.
pub(in crate::cli) fn is_closed(failure: &(dyn Error + 'static)) -> bool {
    failure
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Escapes the characters of JSON that could harm a terminal: control characters beyond ASCII and changes
/// of the text's direction. The meaning stays the same. Line breaks are those between values.
fn ascii_controls(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) || c == '\n' {
            safe.push(c);
        } else {
            let mut units = [0; 2];
            let escapes = c.encode_utf16(&mut units).iter();
            safe.extend(escapes.map(|unit| format!("\\u{unit:04x}")));
        }
    }
    safe
}

/// Returns a number with its noun, as in "1 session" and "2 sessions".
pub(in crate::cli) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::serde::json::{Value, from_str, json};

    #[test]
    fn json_reaches_a_terminal_without_controls_and_means_the_same() {
        let value = json!({"a": "\u{1b}[31m\u{9b}31m\u{7f}\u{202e}\u{e0041}\n zoë 👋\u{200d}"});
        let pretty = rocket::serde::json::to_pretty_string(&value).unwrap();
        let safe = ascii_controls(&pretty);
        assert!(safe.chars().all(|c| is_printable(c) || c == '\n'), "{safe}");
        assert!(safe.contains("zoë 👋"), "{safe}");
        assert_eq!(from_str::<Value>(&safe).unwrap(), value);
    }

    #[test]
    fn one_has_no_plural() {
        assert_eq!(count(1, "session"), "1 session");
        assert_eq!(count(0, "session"), "0 sessions");
    }
}
