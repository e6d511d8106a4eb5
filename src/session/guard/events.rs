//! The session's events: what the request contributes, and events of the application.

use std::sync::Arc;

use super::{Inner, Session};
use crate::session::codec::TypedData;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::session::observe::prepared::PreparedEvent;
use crate::store::SessionRecord;

impl<D> Inner<D> {
    /// Returns the context of an event of this request's session.
    pub(super) fn event_of(&self, record: &SessionRecord) -> EventContext {
        let sign_in = record.sign_in.as_ref();
        EventContext {
            actor: sign_in.and_then(|sign_in| sign_in.actor.clone()),
            ..self.context.of_event()
        }
    }

    /// Returns the facts of an event of this request's session.
    pub(super) fn facts_of(&self, record: &SessionRecord) -> Facts {
        Facts {
            user: record.user_id.clone(),
            session_kind: record.kind.clone(),
            context: self.event_of(record),
        }
    }

    /// Returns the facts of an event of a session of which only the handle is known.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            user: None,
            session_kind: self.shared.kind.clone(),
            context: self.context.of_event(),
        }
    }
}

impl<D: TypedData> Session<D> {
    /// Returns the context of events that this request causes, with the actor of the session's
    /// sign-in.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{Session, SessionError, UserSessions};
    ///
    /// async fn end_all(
    ///     session: &Session<u64>,
    ///     sessions: &UserSessions,
    /// ) -> Result<usize, SessionError> {
    ///     let user = session.user_id().ok_or(SessionError::SignedOut)?;
    ///     sessions.with_context(session.event_context()).revoke_all(user).await
    /// }
    /// ```
    pub fn event_context(&self) -> EventContext {
        let inner = self.inner();
        match self.record() {
            Some(record) => inner.event_of(&record),
            None => inner.context.of_event(),
        }
    }

    /// Reports an event of the application, such as a change of the password, to the functions of
    /// [`Sessions::on_event`](crate::Sessions::on_event) and to the record of events. `name` is in
    /// snake case. Does nothing without a session. Costs no statement now, because events are
    /// recorded in the background.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// async fn change_password(session: &Session<Vec<String>>) -> Result<(), SessionError> {
    ///     // The new hash is stored here.
    ///     session.rotate().await?;
    ///     session.note_event("password_changed");
    ///     Ok(())
    /// }
    /// ```
    pub fn note_event(&self, name: &'static str) {
        if let Some(event) = self.prepare_event(name) {
            event.report();
        }
    }

    /// Makes an event of the application, as [`note_event`](Self::note_event) reports it, before the
    /// change that it reports is made. The change can store it in its own transaction. Returns `None`
    /// without a session.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Session;
    /// use rocket_diesel_sessions::store::PasswordChange;
    ///
    /// fn record(session: &Session<Vec<String>>, change: &mut PasswordChange) {
    ///     let event = session.prepare_event("password_changed");
    ///     change.event = event.and_then(|event| event.to_record());
    /// }
    /// ```
    pub fn prepare_event(&self, name: &'static str) -> Option<PreparedEvent> {
        let (inner, record) = (self.inner(), self.record()?);
        let monitor = Arc::clone(&inner.shared.monitor);
        Some(monitor.prepared(&record.id, name, &inner.facts_of(&record)))
    }
}
