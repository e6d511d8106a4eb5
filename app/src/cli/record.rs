//! What a command leaves in the record of events, with the command line as the actor.

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::{EventRecord, EventStore, SessionRecord};
use rocket_diesel_sessions::{DieselStore, EndReason, SessionHandle, UserId};
use uuid::Uuid;

use super::database::Database;
use super::terminal::output::{COMMAND_LINE, note};

/// The events of one command.
pub(super) struct Record<'a> {
    store: &'a DieselStore,
    /// Whether servers with these settings record events.
    keeps_events: bool,
    /// Stands for the id of a request: what one command has done belongs together.
    id: String,
    now: DateTime<Utc>,
}

impl<'a> Record<'a> {
    pub(super) fn new(database: &'a Database, now: DateTime<Utc>) -> Self {
        Self {
            store: &database.store,
            keeps_events: database.keeps_events,
            id: Uuid::now_v7().to_string(),
            now,
        }
    }

    /// Makes an event, of this user or of none.
    pub(super) fn event<'u>(
        &self,
        name: &str,
        user_id: impl Into<Option<&'u UserId>>,
    ) -> EventRecord {
        let mut event = EventRecord::new(self.now, name, "");
        event.user_id = user_id.into().cloned();
        event.actor = Some(COMMAND_LINE.to_owned());
        event.request_id = Some(self.id.clone());
        event
    }

    /// Returns an event for the change that stores it, unless no events are recorded.
    pub(super) fn with_change(&self, event: EventRecord) -> Option<EventRecord> {
        self.keeps_events.then_some(event)
    }

    /// Makes the event of the end of a session.
    pub(super) fn ended(
        &self,
        handle: &SessionHandle,
        user_id: &UserId,
        reason: Option<&str>,
    ) -> EventRecord {
        let mut event = self.event(EndReason::Revoked.name(), user_id);
        event.session = handle.clone();
        event.reason = reason.map(str::to_owned);
        event
    }

    /// Makes the event of the end of a session that is known, if it is a user's.
    pub(super) fn ended_session(
        &self,
        session: &SessionRecord,
        reason: Option<&str>,
    ) -> Option<EventRecord> {
        let user_id = session.user_id.as_ref()?;
        let mut event = self.ended(&session.id, user_id, reason);
        event.kind.clone_from(&session.kind);
        Some(event)
    }

    /// Keeps events of what is done, so a failure is only reported.
    pub(super) fn keep(&self, events: &[EventRecord]) {
        if self.keeps_events
            && !events.is_empty()
            && let Err(error) = self.store.add_events(events)
        {
            note(&format!(
                "this is done, but not recorded as an event: {error}"
            ));
        }
    }
}
