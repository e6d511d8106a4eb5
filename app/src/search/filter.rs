//! Which sessions a list keeps.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::store::{SessionOrder, SessionRecord};

/// How long a session has not been used to count as idle, and until its deadline to count as
/// expiring, unless the filter says otherwise.
const HOUR: Duration = Duration::from_hours(1);

/// A filter of a list of sessions. Its text is `signed-in`, `anonymous`, `idle` or `expiring`. The
/// latter two may be followed by a time, as in `idle-12h` or `expiring-30m`.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions_app::search::Filter;
///
/// let filter: Filter = "idle-12h".parse().unwrap();
/// assert_eq!(filter.to_string(), "idle-12h");
/// assert!("idle-soon".parse::<Filter>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Sessions of users.
    SignedIn,
    /// Sessions without a user.
    Anonymous,
    /// Sessions that have not been used for this long.
    Idle(Duration),
    /// Sessions that expire within this time unless they are used.
    Expiring(Duration),
}

impl Filter {
    /// The forms of a filter, for messages.
    pub const FORMS: &str = "signed-in, anonymous, idle or expiring, the latter two also with a time \
                             as in idle-12h, expiring-30m or idle-7d";

    /// Returns whether the list keeps a session.
    pub(super) fn keeps(self, session: &SessionRecord, now: DateTime<Utc>) -> bool {
        match self {
            Self::SignedIn => session.user_id.is_some(),
            Self::Anonymous => session.user_id.is_none(),
            Self::Idle(time) => session.last_seen_at <= ago(now, time),
            Self::Expiring(time) => session.expires_at <= ahead(now, time),
        }
    }

    /// Returns the moment after which no session is kept that comes later in the order of deadlines.
    pub(super) fn end(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Expiring(time) => Some(ahead(now, time)),
            _ => None,
        }
    }

    /// Returns the order in which the sessions that this keeps come first.
    pub fn order(self) -> SessionOrder {
        match self {
            Self::SignedIn | Self::Anonymous => SessionOrder::NewestFirst,
            Self::Idle(_) | Self::Expiring(_) => SessionOrder::ExpiringFirst,
        }
    }
}

/// A time that reaches further than dates do is cut off.
fn ago(now: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(time).ok();
    let then = time.and_then(|time| now.checked_sub_signed(time));
    then.unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn ahead(now: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(time).ok();
    let then = time.and_then(|time| now.checked_add_signed(time));
    then.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, time) = match text.split_once('-') {
            Some((name @ ("idle" | "expiring"), time)) => (name, Some(time)),
            _ => (text, None),
        };
        let time = match time {
            Some(time) => duration(time),
            None => Some(HOUR),
        };
        match (name, time) {
            ("signed-in", _) => Ok(Self::SignedIn),
            ("anonymous", _) => Ok(Self::Anonymous),
            ("idle", Some(time)) => Ok(Self::Idle(time)),
            ("expiring", Some(time)) => Ok(Self::Expiring(time)),
            _ => Err(format!("{text:?} is not {}", Self::FORMS)),
        }
    }
}

/// Parses a whole number of minutes, hours or days, as in `30m`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignedIn => f.write_str("signed-in"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Idle(time) if *time == HOUR => f.write_str("idle"),
            Self::Expiring(time) if *time == HOUR => f.write_str("expiring"),
            Self::Idle(time) => write!(f, "idle-{}", shown(*time)),
            Self::Expiring(time) => write!(f, "expiring-{}", shown(*time)),
        }
    }
}

fn shown(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    if minutes.is_multiple_of(24 * 60) {
        format!("{}d", minutes / (24 * 60))
    } else if minutes.is_multiple_of(60) {
        format!("{}h", minutes / 60)
    } else {
        format!("{minutes}m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_they_are_written() {
        for text in [
            "signed-in",
            "anonymous",
            "idle",
            "expiring",
            "idle-12h",
            "idle-7d",
            "expiring-30m",
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().to_string(), text);
        }
        assert_eq!("idle-60m".parse::<Filter>().unwrap().to_string(), "idle");
        let huge = format!("idle-{}d", u64::MAX);
        for text in [
            "",
            "x",
            "idle-",
            "idle-h",
            "idle-1",
            "idle-1w",
            "idle-+1h",
            "idle-1é",
            "anonymous-1h",
            &huge,
        ] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_beyond_all_dates_keeps_nothing_or_everything() {
        let (now, time) = (Utc::now(), Duration::from_secs(u64::MAX / 2));
        assert_eq!(ago(now, time), DateTime::<Utc>::MIN_UTC);
        assert_eq!(ahead(now, time), DateTime::<Utc>::MAX_UTC);
    }
}
