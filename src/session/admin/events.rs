//! The record of events of all users.

use std::collections::HashSet;

use uuid::Uuid;

use super::{MAX_PAGE, SessionAdmin};
use crate::session::error::SessionError;
use crate::session::observe::prepared::PreparedEvent;
use crate::store::{EventPage, ListEvents, SessionHandle, UserId, UserPresence};

impl SessionAdmin {
    /// Returns one page of the record of events, newest first: those after the cursor `after`, at
    /// most `limit` and at most 10,000. With `user_id`, only those of that user. Events of other
    /// instances come a second later.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn report(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let page = admin.events(100, None, None).await?;
    ///     for event in &page.events {
    ///         println!("{}: {} of {:?}", event.at, event.event, event.user_id);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NoEvents`] if no events are recorded. Fails if the store fails.
    pub async fn events(
        &self,
        limit: u32,
        after: Option<Uuid>,
        user_id: Option<UserId>,
    ) -> Result<EventPage, SessionError> {
        let query = ListEvents {
            user_id,
            after,
            limit,
            ..ListEvents::default()
        };
        self.find_events(query).await
    }

    /// Returns the page of the record of events that a query asks for, newest first, at most 10,000
    /// events. Events of other instances come a second later.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::ListEvents;
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn report(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let mut query = ListEvents::default();
    ///     query.actor = Some("support".to_owned());
    ///     query.limit = 100;
    ///     for event in &admin.find_events(query).await?.events {
    ///         println!("{}: {} of {:?}", event.at, event.event, event.user_id);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NoEvents`] if no events are recorded. Fails if the store fails.
    pub async fn find_events(&self, query: ListEvents) -> Result<EventPage, SessionError> {
        let archive = self.archive.clone().ok_or(SessionError::NoEvents)?;
        let limit = query.limit.min(MAX_PAGE);
        let query = ListEvents { limit, ..query };
        self.pipeline.call(move || archive.page(query)).await
    }

    /// Reports an event of a user, such as `user_disabled`, to the functions of
    /// [`Sessions::on_event`](crate::Sessions::on_event), to the webhook and to the record of events.
    /// It has no session, so its handle is empty. `name` is in snake case. With the context of the
    /// request ([`with_context`](Self::with_context)), the record shows who caused it. Costs no
    /// statement now, because events are recorded in the background.
    ///
    /// An event without a user is for what must outlive the user, such as the user's deletion.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{EventContext, SessionAdmin, UserId};
    ///
    /// fn was_disabled(admin: &SessionAdmin, user_id: &UserId, context: EventContext) {
    ///     let context = context.actor("support");
    ///     admin.with_context(context).note_user_event("user_disabled", user_id);
    /// }
    /// ```
    pub fn note_user_event<'a>(&self, name: &'static str, user_id: impl Into<Option<&'a UserId>>) {
        self.prepare_user_event(name, user_id).report();
    }

    /// Makes an event of a user, as [`note_user_event`](Self::note_user_event) reports it, before the
    /// change that it reports is made. The change can store it in its own transaction
    /// ([`UserChange::event`](crate::store::UserChange::event)), so that neither exists without the
    /// other, and the event is reported when the change is known to be committed.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use rocket_diesel_sessions::store::{UserAction, UserChange, UserOutcome, UserStore};
    /// use rocket_diesel_sessions::{Clock, DieselStore, SessionAdmin, SessionError, SystemClock, UserId};
    ///
    /// async fn disable(
    ///     admin: &SessionAdmin,
    ///     store: Arc<DieselStore>,
    ///     id: UserId,
    /// ) -> Result<bool, SessionError> {
    ///     let event = admin.prepare_user_event("user_disabled", &id);
    ///     let mut change = UserChange::new(id, UserAction::Disable, SystemClock.now());
    ///     change.event = event.to_record();
    ///     // In the call, which goes on if this does not wait for it any more.
    ///     let call = move || {
    ///         let outcome = store.change_user(&change)?;
    ///         let is_done = matches!(outcome, UserOutcome::Done(_));
    ///         if is_done {
    ///             event.report();
    ///         }
    ///         Ok(is_done)
    ///     };
    ///     admin.call(call).await
    /// }
    /// ```
    pub fn prepare_user_event<'a>(
        &self,
        name: &'static str,
        user_id: impl Into<Option<&'a UserId>>,
    ) -> PreparedEvent {
        let user_id = user_id.into().cloned();
        self.pipeline.prepared(name, user_id, self.context.clone())
    }

    /// Returns the handles of those of these sessions that are live.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError, SessionHandle};
    ///
    /// async fn is_live(admin: &SessionAdmin, id: SessionHandle) -> Result<bool, SessionError> {
    ///     Ok(!admin.find_live(vec![id]).await?.is_empty())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn find_live(
        &self,
        handles: Vec<SessionHandle>,
    ) -> Result<HashSet<SessionHandle>, SessionError> {
        if handles.is_empty() {
            return Ok(HashSet::new());
        }
        self.pipeline.find_live(handles).await
    }

    /// Returns the live sessions of each of these users in numbers, and when each last signed in, as
    /// far as this is recorded or a live session shows it. Users of whom nothing is known are omitted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId};
    ///
    /// async fn report(admin: &SessionAdmin, users: Vec<UserId>) -> Result<(), SessionError> {
    ///     for user in admin.presence(users).await? {
    ///         println!("{}: {} sessions", user.user_id, user.sessions);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn presence(&self, users: Vec<UserId>) -> Result<Vec<UserPresence>, SessionError> {
        let archive = self.archive.clone();
        self.pipeline
            .presence(users, self.clock.now(), archive)
            .await
    }
}
