//! The figures of the overview, and how they have changed.

use chrono::{DateTime, Utc};
use rocket::serde::Serialize;
use rocket_diesel_sessions::admin::SessionStats;

use super::hours;
use crate::words::grouped;

/// The figures that are kept live.
#[derive(Clone, Copy, Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(super) struct Figures {
    /// `None` if the many sessions have not been counted, as the next two.
    pub(super) active: Option<u64>,
    pub(super) signed_in: Option<u64>,
    pub(super) anonymous: Option<u64>,
    /// In the last 24 hours, as is `ended`.
    pub(super) created: u64,
    pub(super) ended: u64,
}

impl Figures {
    pub(super) fn of(stats: &SessionStats, now: DateTime<Utc>) -> Self {
        let today = hours::day(&stats.hours, now, 0);
        let counted = |number: u64| (!stats.is_minimum).then_some(number);
        Self {
            active: counted(stats.active),
            signed_in: counted(stats.signed_in),
            anonymous: counted(stats.active.saturating_sub(stats.signed_in)),
            created: today.created,
            ended: today.ended.total(),
        }
    }
}

/// How a figure has changed, in words.
pub(super) struct Change {
    /// `more`, `fewer` or `same`, and `unknown` if the number is not known.
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl Change {
    /// Says that the number is not known.
    fn unknown() -> Self {
        Self {
            class: "same unknown",
            text: "Not counted yet".to_owned(),
        }
    }

    /// Compares with a number of earlier, if both are known.
    pub(super) fn of(now: impl Into<Option<u64>>, then: Option<u64>, when: &str) -> Self {
        let Some(now) = now.into() else {
            return Self::unknown();
        };
        let Some(then) = then else {
            let text = format!("Nothing recorded of {when}");
            return Self {
                class: "same",
                text,
            };
        };
        let (class, sign, word) = match now.cmp(&then) {
            std::cmp::Ordering::Greater => ("more", "+", "more than"),
            std::cmp::Ordering::Less => ("fewer", "−", "fewer than"),
            std::cmp::Ordering::Equal => {
                let text = format!("As many as {when}");
                return Self {
                    class: "same",
                    text,
                };
            }
        };
        let by = grouped(now.abs_diff(then));
        Self {
            class,
            text: format!("{sign}{by}, {word} {when}"),
        }
    }
}

/// How the active sessions are divided, in percent.
pub(super) struct Share {
    pub(super) signed_in: u64,
    pub(super) anonymous: u64,
}

impl Share {
    pub(super) fn of(signed_in: u64, active: u64) -> Self {
        let share = u128::from(signed_in) * 100 / u128::from(active.max(1));
        let signed_in = u64::try_from(share).unwrap_or(100).min(100);
        Self {
            signed_in,
            anonymous: if active == 0 { 0 } else { 100 - signed_in },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_sign_and_words() {
        for (now, then, text) in [
            (1_500, Some(300), "+1,200, more than the day before"),
            (3, Some(5), "−2, fewer than the day before"),
            (5, Some(5), "As many as the day before"),
            (5, None, "Nothing recorded of the day before"),
        ] {
            assert_eq!(Change::of(now, then, "the day before").text, text);
        }
    }

    #[test]
    fn shares_are_of_all_active_sessions() {
        let shares = |signed_in, active| {
            let share = Share::of(signed_in, active);
            (share.signed_in, share.anonymous)
        };
        assert_eq!(shares(1, 3), (33, 67));
        assert_eq!(shares(0, 0), (0, 0));
        assert_eq!(shares(u64::MAX, 1), (100, 0));
    }
}
