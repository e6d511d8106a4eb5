//! The deadlines at which a session expires.

pub(super) mod policies;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{Lifetime, SessionRecord};

/// The timeouts of a session and the precision of its recorded activity (OWASP ASVS 5.0, 7.3.1 and
/// 7.3.2: inactivity and absolute lifetime).
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
        Self {
            idle: delta(idle),
            anonymous_idle: delta(anonymous_idle),
            absolute: delta(absolute),
            touch_interval: delta(touch_interval),
        }
    }

    /// Returns the absolute deadline of a session that begins at `now`.
    pub(crate) fn absolute_deadline(
        &self,
        now: DateTime<Utc>,
        lifetime: &Lifetime,
    ) -> DateTime<Utc> {
        now + self.absolute(lifetime)
    }

    /// Returns the deadline that follows from activity at `now`: the idle deadline, but at most the
    /// absolute one.
    pub(crate) fn deadline(
        &self,
        now: DateTime<Utc>,
        absolute: DateTime<Utc>,
        is_signed_in: bool,
        lifetime: &Lifetime,
    ) -> DateTime<Utc> {
        (now + self.idle(is_signed_in, lifetime)).min(absolute)
    }

    /// Returns the idle timeout: the session's own, or that of the settings.
    fn idle(&self, is_signed_in: bool, lifetime: &Lifetime) -> TimeDelta {
        match lifetime.idle {
            Some(own) => delta(own),
            None if is_signed_in => self.idle,
            None => self.anonymous_idle,
        }
    }

    /// Returns the absolute timeout: the session's own, or that of the settings.
    fn absolute(&self, lifetime: &Lifetime) -> TimeDelta {
        lifetime.absolute.map_or(self.absolute, delta)
    }

    /// Returns the row with its effective deadlines: the stored ones, or those of the present
    /// settings if these are stricter. The stored row does not change.
    ///
    /// The absolute lifetime is counted from the latest token, because a login starts a new
    /// lifetime.
    pub(crate) fn effective(&self, mut record: SessionRecord) -> SessionRecord {
        (record.expires_at, record.absolute_expires_at) = self.deadlines(&record);
        record
    }

    /// Gives a row its effective deadlines, and copies it only if they differ from the stored ones.
    pub(crate) fn apply(&self, record: &mut Arc<SessionRecord>) {
        let deadlines = self.deadlines(record);
        if deadlines != (record.expires_at, record.absolute_expires_at) {
            let record = Arc::make_mut(record);
            (record.expires_at, record.absolute_expires_at) = deadlines;
        }
    }

    fn deadlines(&self, record: &SessionRecord) -> (DateTime<Utc>, DateTime<Utc>) {
        let idle = self.idle(record.user_id.is_some(), &record.lifetime);
        let absolute = self.absolute(&record.lifetime);
        // Counted from the end of the token's millisecond, so that unchanged settings leave the
        // stored deadline unchanged.
        let begun = token_time(record.session_id)
            .filter(|issued| *issued > record.created_at)
            .map_or(record.created_at, |issued| {
                issued + TimeDelta::milliseconds(1)
            });
        let earlier = |stored: DateTime<Utc>, from: DateTime<Utc>, by| {
            from.checked_add_signed(by)
                .map_or(stored, |deadline| deadline.min(stored))
        };
        let absolute = earlier(record.absolute_expires_at, begun, absolute);
        let idle = earlier(record.expires_at, record.last_seen_at, idle);
        (idle.min(absolute), absolute)
    }

    /// Returns whether activity at `now` is due to be recorded.
    pub(crate) fn touch_due(&self, session: &SessionRecord, now: DateTime<Utc>) -> bool {
        // At most half of the session's own timeout, because the session would otherwise expire in
        // use.
        let own = session.lifetime.idle.map(|idle| delta(idle) / 2);
        let interval = own.map_or(self.touch_interval, |half| half.min(self.touch_interval));
        now - session.last_seen_at >= interval
    }
}

/// The maximum timeout that a login can set: ten years.
pub(crate) const LONGEST: Duration = Duration::from_hours(87_600);

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Returns whether a session has expired. It is live until just before `expires_at`.
pub(crate) fn is_expired(session: &SessionRecord, now: DateTime<Utc>) -> bool {
    now >= session.expires_at || now >= session.absolute_expires_at
}

/// Returns when a token was issued, to the millisecond, from its lookup half.
pub(crate) fn token_time(session_id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = session_id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::clock::{Clock, SystemClock};
    use crate::testing::new_session;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn i4_stricter_settings_apply_to_existing_sessions() {
        let lax = ExpiryPolicy::new(hours(24), hours(24), hours(72), hours(1));
        let created = SystemClock.now();
        let uuid_of = |time: DateTime<Utc>| {
            let millis = u64::try_from(time.timestamp_millis()).unwrap();
            uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
        };
        let absolute = lax.absolute_deadline(created, &Lifetime::default());
        let stored = SessionRecord {
            user_id: Some("ada".into()),
            session_id: uuid_of(created),
            expires_at: lax.deadline(created, absolute, true, &Lifetime::default()),
            absolute_expires_at: absolute,
            ..new_session(created).into_record()
        };
        assert_eq!(lax.effective(stored.clone()), stored);
        // More lenient settings change nothing.
        let lenient = ExpiryPolicy::new(hours(48), hours(48), hours(720), hours(1));
        assert_eq!(lenient.effective(stored.clone()), stored);
        let strict = ExpiryPolicy::new(hours(3), hours(2), hours(12), hours(1));
        let clamped = strict.effective(stored.clone());
        assert_eq!(clamped.expires_at, created + TimeDelta::hours(3));
        assert_eq!(clamped.absolute_expires_at, created + TimeDelta::hours(12));
        let anonymous = strict.effective(SessionRecord {
            user_id: None,
            ..stored.clone()
        });
        assert_eq!(anonymous.expires_at, created + TimeDelta::hours(2));
        // A login issued a new token.
        let signed_in = created + TimeDelta::hours(20);
        let renewed = strict.effective(SessionRecord {
            session_id: uuid_of(signed_in),
            last_seen_at: signed_in,
            expires_at: absolute,
            ..stored.clone()
        });
        assert_eq!(renewed.expires_at, signed_in + TimeDelta::hours(3));
        assert!(renewed.absolute_expires_at - signed_in > TimeDelta::hours(11));
        // The token's time is exact only to the millisecond.
        let same = SessionRecord {
            session_id: uuid_of(signed_in),
            last_seen_at: signed_in,
            absolute_expires_at: lax.absolute_deadline(signed_in, &Lifetime::default()),
            ..stored.clone()
        };
        assert_eq!(lax.effective(same.clone()), same);
        // Times at the end of the calendar cause no panic.
        let latest = SessionRecord {
            last_seen_at: DateTime::<Utc>::MAX_UTC,
            ..stored.clone()
        };
        assert_eq!(
            strict.effective(latest).expires_at,
            clamped.absolute_expires_at
        );
    }

    #[test]
    fn i4_activity_never_moves_the_deadline_past_the_absolute_one() {
        let policy = ExpiryPolicy::new(hours(24), hours(24), hours(72), hours(1));
        let start = Utc::now();
        let absolute = policy.absolute_deadline(start, &Lifetime::default());
        let mut last = start;
        for hour in 0..72 {
            let deadline = policy.deadline(
                start + TimeDelta::hours(hour),
                absolute,
                true,
                &Lifetime::default(),
            );
            assert!(deadline >= last && deadline <= absolute);
            last = deadline;
        }
        assert_eq!(last, absolute);
    }
}
