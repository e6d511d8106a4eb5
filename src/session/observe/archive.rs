//! The record of events: writes what waits, reads pages, and forgets what is old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::event_log::EventLog;
use super::events::SessionEventKind;
use super::metrics::whole;
use super::monitor::Monitor;
use super::seldom::Seldom;
use crate::store::admin::StoreAdmin;
use crate::store::{
    EventPage, EventRecord, EventStore, ListEvents, StoreError, UserId, UserPresence,
};

/// Maximum number of events in one call of the store.
const BATCH: usize = 500;

/// Maximum number of events that are deleted at once.
const FORGET: u32 = 1000;

/// Number of events in which an earlier login of a user is looked for.
const LOOK_BACK: u32 = 100;

/// How long a reader waits for a write in progress. Afterwards it reads what is there.
const READER_WAIT: Duration = Duration::from_millis(200);

/// How long a writer waits for another. Afterwards it tries again later.
const WRITER_WAIT: Duration = Duration::from_secs(10);

pub(crate) struct Archive {
    store: Arc<dyn EventStore>,
    log: Arc<EventLog>,
    monitor: Arc<Monitor>,
    retention: TimeDelta,
    /// Held while events are written, so that a reader sees the events before it.
    turn: Mutex<()>,
    /// Whether the events and the sessions are in the same store.
    is_of_sessions: bool,
    /// Limits how often failures are logged.
    failure: Seldom,
}

impl Archive {
    /// Creates the record of a monitor that keeps events.
    pub(crate) fn new(
        store: Arc<dyn EventStore>,
        monitor: Arc<Monitor>,
        retention: Duration,
        is_of_sessions: bool,
    ) -> Option<Self> {
        Some(Self {
            store,
            log: Arc::clone(monitor.log.as_ref()?),
            monitor,
            retention: TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX),
            turn: Mutex::default(),
            is_of_sessions,
            failure: Seldom::default(),
        })
    }

    /// Writes the events that wait, and reports sign-ins with new devices. Events that could not be
    /// written wait on.
    pub(crate) fn write(&self) -> Result<(), StoreError> {
        // A write that is stuck must not hold up the thread that comes after it as well.
        match self.turn.try_lock_for(WRITER_WAIT) {
            Some(_turn) => self.write_in_turn()?,
            None => return Ok(()),
        }
        self.judge_unknown()
    }

    /// Reports those of the new logins whose user has signed in before, but not with this browser.
    fn judge_unknown(&self) -> Result<(), StoreError> {
        while let Some(unknown) = self.log.take_unknown() {
            match self.has_earlier(&unknown.login) {
                Ok(true) => self
                    .monitor
                    .new_device(&unknown.login.session, &unknown.facts),
                Ok(false) => {}
                Err(error) => {
                    self.log.put_back_unknown(unknown);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns whether something is recorded of the user from before this login, in another session.
    fn has_earlier(&self, login: &EventRecord) -> Result<bool, StoreError> {
        let earlier = self.store.events(&ListEvents {
            user_id: login.user_id.clone(),
            kind: Some(login.kind.clone()),
            after: Some(login.id),
            limit: LOOK_BACK,
            ..ListEvents::default()
        })?;
        let is_earlier = |event: &EventRecord| {
            event.session != login.session && event.event != SessionEventKind::LoginPending.name()
        };
        Ok(earlier.iter().any(is_earlier))
    }

    fn write_in_turn(&self) -> Result<(), StoreError> {
        loop {
            let events = self.log.take(BATCH);
            if events.is_empty() {
                return Ok(());
            }
            match self.store.add_events(&events) {
                Ok(()) => self.recorded(events.len()),
                Err(error) if error.is_of_statement() => self.write_each(events)?,
                // Written events are not written twice, because their ids are known.
                Err(error) => {
                    self.log.put_back(events);
                    return Err(error);
                }
            }
        }
    }

    /// Writes events one by one, so that one that is refused costs no other.
    fn write_each(&self, events: Vec<EventRecord>) -> Result<(), StoreError> {
        let mut left = events.into_iter();
        while let Some(event) = left.next() {
            match self.store.add_events(std::slice::from_ref(&event)) {
                Ok(()) => self.recorded(1),
                Err(error) if error.is_of_statement() => {
                    tracing::debug!("an event of a session is not recorded: {error}");
                    self.log.drop_some(1);
                }
                Err(error) => {
                    self.log
                        .put_back(std::iter::once(event).chain(left).collect());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns one page, with the events of this instance until now.
    pub(crate) fn page(&self, mut query: ListEvents) -> Result<EventPage, StoreError> {
        self.write_for_reader();
        let limit = query.limit as usize;
        query.limit = query.limit.saturating_add(1);
        let mut events = self.store.events(&query)?;
        let has_more = events.len() > limit;
        events.truncate(limit);
        let last = events.last().map(|event| event.id);
        // A store may not know all filters.
        events.retain(|event| query.keeps(event));
        Ok(EventPage {
            next: last.filter(|_| has_more),
            events,
        })
    }

    /// Returns the sign-ins and live sessions of these users, with the events of this instance until
    /// now.
    pub(crate) fn presence(
        &self,
        sessions: StoreAdmin<'_>,
        users: &[UserId],
        now: DateTime<Utc>,
    ) -> Result<Vec<UserPresence>, StoreError> {
        self.write_for_reader();
        sessions.presence(users, now, Some(&*self.store))
    }

    /// Writes the events of this instance for a reader, who does not wait long.
    fn write_for_reader(&self) {
        if let Some(_turn) = self.turn.try_lock_for(READER_WAIT) {
            // If this fails, the newest events are only not shown yet.
            if let Err(error) = self.write_in_turn() {
                tracing::debug!("events of sessions could not be recorded: {error}");
            }
        }
    }

    /// Deletes all events of a user and returns their number.
    pub(crate) fn forget_user(&self, user_id: &UserId) -> Result<usize, StoreError> {
        // Not while some of them are being written.
        let _turn = self.turn.try_lock_for(READER_WAIT);
        self.log.forget(user_id);
        self.store.forget_events_of(user_id)
    }

    /// Deletes events whose time is over, in batches. `pause` is called after each and ends this if
    /// it returns `true`.
    pub(crate) fn forget_old(
        &self,
        now: DateTime<Utc>,
        mut pause: impl FnMut() -> bool,
    ) -> Result<(), StoreError> {
        let before = now.checked_sub_signed(self.retention);
        let before = before.unwrap_or(DateTime::UNIX_EPOCH);
        while self.store.forget_events(before, FORGET)? >= FORGET as usize && !pause() {}
        Ok(())
    }

    fn recorded(&self, number: usize) {
        self.monitor.metrics.events.recorded.inc_by(whole(number));
    }

    /// Returns the present time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.monitor.now()
    }

    /// Logs a failure in the background of a call that began at `began`, unless the breaker does.
    pub(crate) fn failed(&self, failure: &str, error: &StoreError, began: Instant) {
        if !self.is_of_sessions || !self.monitor.is_reported(error, began) {
            let failure = format_args!("{failure}: {error}");
            self.monitor.background_failed(&self.failure, failure);
        }
    }
}

/// Writes the remaining events when the server stops.
impl Drop for Archive {
    fn drop(&mut self) {
        if let Err(error) = self.write_in_turn() {
            tracing::warn!(
                "the last {} events of sessions could not be recorded: {error}",
                whole(self.log.take(usize::MAX).len())
            );
        }
    }
}
