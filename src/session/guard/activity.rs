//! A session's remaining time, and activity that requests do not record themselves:
//! [`Session::touch`].

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Session;
use super::state::Phase;
use crate::session::codec::TypedData;
use crate::session::error::SessionError;
use crate::session::expiry::is_expired;
use crate::session::user_sessions::UserSessions;

/// The remaining time of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Time until the session ends without further activity.
    pub idle: Duration,
    /// Time until the session ends even if it is in use.
    pub absolute: Duration,
}

impl<D: TypedData> Session<D> {
    /// Returns the session's remaining time, or `None` if there is no session. To ask without
    /// extending the session, use a [`PassiveSession`](crate::PassiveSession).
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::PassiveSession;
    ///
    /// #[get("/minutes-left")]
    /// fn minutes_left(session: PassiveSession<Vec<String>>) -> Option<String> {
    ///     let status = session.status()?;
    ///     Some((status.idle.as_secs() / 60).to_string())
    /// }
    /// ```
    pub fn status(&self) -> Option<SessionStatus> {
        let now = self.inner().shared().clock.now();
        let state = self.inner().state();
        let record = state.record().filter(|record| !is_expired(record, now))?;
        let left = |deadline: DateTime<Utc>| (deadline - now).to_std().unwrap_or_default();
        Some(SessionStatus {
            idle: left(record.expires_at),
            absolute: left(record.absolute_expires_at),
        })
    }

    /// Records activity now, for a [`PassiveSession`](crate::PassiveSession) whose visitor turns
    /// out to be present. Does nothing without a session, or if the session has expired. Does not
    /// wait for the write.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::PassiveSession;
    ///
    /// #[post("/still-here")]
    /// fn still_here(session: PassiveSession<Vec<String>>) {
    ///     session.touch();
    /// }
    /// ```
    pub fn touch(&self) {
        let inner = self.inner();
        let now = inner.shared().clock.now();
        let mut state = inner.state();
        if let Phase::Live(record) = &mut state.phase
            && !is_expired(record, now)
        {
            inner.shared().touch(&inner.context, record, now);
        }
    }

    /// Ends the user's other sessions of this kind and returns their number. Does nothing if the
    /// visitor is not signed in.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{SessionError, SignedIn};
    ///
    /// #[post("/devices/end-others")]
    /// async fn end_others(session: SignedIn<Vec<String>>) -> Result<String, SessionError> {
    ///     let ended = session.revoke_others().await?;
    ///     Ok(format!("{ended} other sessions ended"))
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Ended`] if this session has ended in the meantime. Fails if the
    /// store fails.
    pub async fn revoke_others(&self) -> Result<usize, SessionError> {
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let Some(record) = inner.record()? else {
            return Ok(0);
        };
        let Some(user_id) = &record.user_id else {
            return Ok(0);
        };
        let sessions = UserSessions::of(inner.shared())
            .by(record.session_id)
            .with_context(inner.event_of(&record));
        sessions.revoke_others(user_id, &record.id).await
    }
}
