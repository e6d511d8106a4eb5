//! Events of a user's sessions: their context, and what is recorded of them.

use std::sync::Arc;

use super::{MAX_LISTED, UserSessions};
use crate::session::error::SessionError;
use crate::session::observe::archive::Archive;
use crate::session::observe::context::EventContext;
use crate::store::{EventRecord, ListEvents, UserId};

impl UserSessions {
    /// Returns this with the context of the events that it causes: the request, who sent it, and
    /// why.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, delete};
    /// use rocket_diesel_sessions::{EventContext, SessionError, SignedIn, UserSessions};
    ///
    /// #[delete("/devices/<id>")]
    /// async fn end(
    ///     session: SignedIn<u64>,
    ///     sessions: &State<UserSessions>,
    ///     context: EventContext,
    ///     id: &str,
    /// ) -> Result<(), SessionError> {
    ///     sessions.with_context(context).revoke(session.user(), id).await?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn with_context(&self, context: EventContext) -> Self {
        Self {
            context,
            ..self.clone()
        }
    }

    /// Returns the newest events of the user's sessions of this kind, newest first, at most `limit`
    /// and at most 1000: sign-ins and sign-outs, sessions that were ended, and events of the
    /// application. They are kept for `events_retention`. Events of other instances come a second
    /// later.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn show(sessions: &UserSessions) -> Result<(), SessionError> {
    ///     for event in sessions.recent_activity("ada", 10).await? {
    ///         println!("{} from {:?} at {}", event.event, event.ip, event.at);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NoEvents`] if no events are recorded. Fails if the store fails.
    pub async fn recent_activity(
        &self,
        user_id: impl Into<UserId>,
        limit: u32,
    ) -> Result<Vec<EventRecord>, SessionError> {
        let archive = self.recorded()?;
        let query = ListEvents {
            user_id: Some(user_id.into()),
            kind: self.kind.clone(),
            limit: limit.min(MAX_LISTED),
            ..ListEvents::default()
        };
        let page = self.pipeline.call(move || archive.page(query)).await?;
        Ok(page.events)
    }

    /// Deletes all events of the user, of sessions of every kind, and returns their number. If the
    /// library keeps the users, the database does this when a user is deleted. Events that other
    /// instances have yet to write come a second later and stay until the end of
    /// `events_retention`, so call it again if they matter.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// /// After the application has deleted its user.
    /// async fn was_deleted(sessions: &UserSessions, user_id: i64) -> Result<(), SessionError> {
    ///     sessions.revoke_all(user_id).await?;
    ///     sessions.forget_activity(user_id).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NoEvents`] if no events are recorded. Fails if the store fails.
    pub async fn forget_activity(&self, user_id: impl Into<UserId>) -> Result<usize, SessionError> {
        let archive = self.recorded()?;
        let user_id = user_id.into();
        let forget = move || archive.forget_user(&user_id);
        self.pipeline.call(forget).await
    }

    fn recorded(&self) -> Result<Arc<Archive>, SessionError> {
        self.archive.clone().ok_or(SessionError::NoEvents)
    }
}
