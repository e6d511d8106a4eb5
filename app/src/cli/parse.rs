//! Parsers for arguments that need more than clap's own checks.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use rocket_diesel_sessions_app::api::cursor;
use rocket_diesel_sessions_app::search::{Cursor, Sort};
use uuid::Uuid;

/// The longest wait for the database.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// Parses a duration such as `30s` or `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as in 30s, 5m or 24h"))
}

/// Parses a wait for the database, which is up to an hour.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        wait if wait <= MAX_WAIT => Ok(wait),
        _ => Err("must be from 0s to 1h".to_owned()),
    }
}

/// Parses a time limit for an answer, which is from a millisecond to an hour.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        limit if (Duration::from_millis(1)..=MAX_WAIT).contains(&limit) => Ok(limit),
        _ => Err("must be from 1ms to 1h".to_owned()),
    }
}

/// Parses the order of a list of sessions.
pub(super) fn sort() -> impl TypedValueParser<Value = Sort> {
    PossibleValuesParser::new(["newest", "expiring"]).try_map(|name| name.parse())
}

/// Parses the cursor that an earlier list of events has printed as its `next`.
pub(super) fn cursor(text: &str) -> Result<Uuid, String> {
    cursor::parse(text).ok_or_else(not_a_cursor)
}

/// Parses the cursor that an earlier list of sessions has printed as its `next`, in either order.
pub(super) fn session_cursor(text: &str) -> Result<Cursor, String> {
    let mut sorts = [Sort::Newest, Sort::Expiring].into_iter();
    let cursor = sorts.find_map(|sort| Cursor::parse(text, sort));
    cursor.ok_or_else(not_a_cursor)
}

fn not_a_cursor() -> String {
    "it is not the `next` of an earlier list".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_a_range() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert!(duration("5").unwrap_err().contains("as in 30s"));
        assert_eq!(wait("0s"), Ok(Duration::ZERO));
        assert!(wait("61m").unwrap_err().contains("1h"));
        assert!(timeout("0s").unwrap_err().contains("1ms"));
    }
}
