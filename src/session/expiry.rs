//! When a session ends by itself.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::SessionRecord;

/// The two deadlines of a session and how exactly its activity is kept
/// (OWASP ASVS 5.0, 7.3.1 and 7.3.2: inactivity and absolute lifetime).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpiryPolicy {
    idle: TimeDelta,
    anonymous_idle: TimeDelta,
    absolute: TimeDelta,
    touch_interval: TimeDelta,
}

impl ExpiryPolicy {
    pub(crate) fn new(
        idle: Duration,
        anonymous_idle: Duration,
        absolute: Duration,
        touch_interval: Duration,
    ) -> Self {
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Self {
            idle: delta(idle),
            anonymous_idle: delta(anonymous_idle),
            absolute: delta(absolute),
            touch_interval: delta(touch_interval),
        }
    }

    /// The absolute deadline of a session that is created `now`.
    pub(crate) fn absolute_deadline(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.absolute
    }

    /// The deadline that follows from activity `now`, at most the absolute one.
    pub(crate) fn deadline(
        &self,
        now: DateTime<Utc>,
        absolute: DateTime<Utc>,
        is_signed_in: bool,
    ) -> DateTime<Utc> {
        let idle = if is_signed_in {
            self.idle
        } else {
            self.anonymous_idle
        };
        (now + idle).min(absolute)
    }

    /// Whether activity `now` is to be recorded.
    pub(crate) fn touch_due(&self, session: &SessionRecord, now: DateTime<Utc>) -> bool {
        now - session.last_seen_at >= self.touch_interval
    }
}

/// Whether a session may not be served any more. Its last moment is before `expires_at`.
pub(crate) fn is_expired(session: &SessionRecord, now: DateTime<Utc>) -> bool {
    now >= session.expires_at || now >= session.absolute_expires_at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn i4_activity_never_moves_the_deadline_past_the_absolute_one() {
        let policy = ExpiryPolicy::new(hours(24), hours(24), hours(72), hours(1));
        let start = Utc::now();
        let absolute = policy.absolute_deadline(start);
        let mut last = start;
        for hour in 0..72 {
            let deadline = policy.deadline(start + TimeDelta::hours(hour), absolute, true);
            assert!(deadline >= last && deadline <= absolute);
            last = deadline;
        }
        assert_eq!(last, absolute);
    }
}
