//! Limits how often a recurring message is logged.

use std::fmt::Display;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The minimum time between two log lines about the same ongoing problem.
pub(crate) const REMINDER: Duration = Duration::from_mins(1);

/// Allows a message at most once a minute.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns whether the message is due at `now`, and if so counts it as logged.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= REMINDER);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Removes line breaks, which messages of libpq contain.
pub(crate) fn one_line(message: impl Display) -> String {
    let message = message.to_string();
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_once_a_minute() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(seldom.is_due(start));
        assert!(!seldom.is_due(start + second));
        assert!(seldom.is_due(start + REMINDER));
        assert!(!seldom.is_due(start + REMINDER + second));
    }
}
