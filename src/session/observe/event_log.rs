//! Events that have yet to be written to the record. They wait in memory, so that no request waits
//! for them and none fails because of them.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::events::{Facts, SessionEvent};
use super::metrics::whole;
use super::seldom::Seldom;
use crate::store::{EventRecord, UserId};

/// Maximum number of events that wait. Further ones are dropped.
const MAX_WAITING: usize = 10_000;

/// A login with a browser that its user may never have used.
pub(super) struct UnknownDevice {
    pub(super) login: EventRecord,
    pub(super) facts: Facts,
}

pub(crate) struct EventLog {
    waiting: Mutex<VecDeque<EventRecord>>,
    /// Logins with browsers that their users may never have used.
    unknown: Mutex<VecDeque<UnknownDevice>>,
    dropped: IntCounter,
    /// Limits how often dropped events are logged.
    warned: Seldom,
}

impl EventLog {
    pub(super) fn new(dropped: IntCounter) -> Self {
        Self {
            waiting: Mutex::default(),
            unknown: Mutex::default(),
            dropped,
            warned: Seldom::default(),
        }
    }

    /// Keeps an event of the record.
    pub(super) fn push(&self, event: &SessionEvent) {
        let record = event.to_record();
        let is_full = {
            let mut waiting = self.waiting.lock();
            let is_full = waiting.len() >= MAX_WAITING;
            if !is_full {
                waiting.push_back(record);
            }
            is_full
        };
        if is_full {
            self.drop_some(1);
        }
    }

    /// Keeps a login, to look for earlier ones of its user. If too many wait, none is looked for.
    pub(super) fn push_unknown(&self, event: &SessionEvent, facts: &Facts) {
        let mut unknown = self.unknown.lock();
        if unknown.len() < MAX_WAITING {
            unknown.push_back(UnknownDevice {
                login: event.to_record(),
                facts: facts.clone(),
            });
        }
    }

    /// Takes out the oldest such login.
    pub(super) fn take_unknown(&self) -> Option<UnknownDevice> {
        self.unknown.lock().pop_front()
    }

    /// Puts such a login back.
    pub(super) fn put_back_unknown(&self, unknown: UnknownDevice) {
        self.unknown.lock().push_front(unknown);
    }

    /// Counts events that will not be recorded, and logs this at most once a minute.
    pub(super) fn drop_some(&self, number: usize) {
        self.dropped.inc_by(whole(number));
        if self.warned.is_due(Instant::now()) {
            tracing::warn!(
                "events of sessions are not recorded, because too many wait or the database refuses \
                 them: {} since the start",
                self.dropped.get()
            );
        }
    }

    /// Takes out the oldest events, at most `most`.
    pub(super) fn take(&self, most: usize) -> Vec<EventRecord> {
        let mut waiting = self.waiting.lock();
        let number = waiting.len().min(most);
        waiting.drain(..number).collect()
    }

    /// Puts events back that could not be written. Those for which there is no place any more are
    /// dropped.
    pub(super) fn put_back(&self, events: Vec<EventRecord>) {
        let mut waiting = self.waiting.lock();
        let places = MAX_WAITING.saturating_sub(waiting.len());
        // The newest fit in, because the oldest are dropped.
        let too_many = events.len().saturating_sub(places);
        for event in events.into_iter().skip(too_many).rev() {
            waiting.push_front(event);
        }
        drop(waiting);
        if too_many > 0 {
            self.drop_some(too_many);
        }
    }

    /// Removes the events of a user.
    pub(super) fn forget(&self, user_id: &UserId) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|event| event.user_id.as_ref() != Some(user_id));
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::session::observe::events::SessionEventKind;

    fn log() -> EventLog {
        EventLog::new(IntCounter::new("dropped", "test").unwrap())
    }

    fn event(kind: SessionEventKind, user: Option<&str>) -> SessionEvent {
        let facts = Facts {
            user: user.map(UserId::from),
            ..Facts::default()
        };
        SessionEvent::new(Utc::now(), &"handle".into(), kind, &facts)
    }

    #[test]
    fn a_user_who_is_forgotten_leaves_no_event_behind() {
        let log = log();
        for user in ["ada", "bob"] {
            log.push(&event(SessionEventKind::Login, Some(user)));
        }
        log.forget(&"bob".into());
        let kept = log.take(10).into_iter().map(|event| event.user_id);
        assert_eq!(kept.collect::<Vec<_>>(), [Some("ada".into())]);
    }

    #[test]
    fn i11_a_database_that_is_down_costs_bounded_memory_and_the_oldest_events() {
        let log = log();
        let login = event(SessionEventKind::Login, Some("ada"));
        for _ in 0..MAX_WAITING + 3 {
            log.push(&login);
        }
        assert_eq!(log.dropped.get(), 3);
        let taken = log.take(500);
        for _ in 0..2 {
            log.push(&login);
        }
        let second = taken[2].id;
        log.put_back(taken);
        assert_eq!(log.dropped.get(), 5);
        assert_eq!(log.take(1)[0].id, second);
        assert_eq!(log.take(MAX_WAITING).len(), MAX_WAITING - 1);
    }
}
