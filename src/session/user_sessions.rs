//! [`UserSessions`]: the sessions of one user, for example for a page of that user's devices.

mod activity;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::clock::Clock;
use super::error::SessionError;
use super::expiry::policies::Policies;
use super::fairing::shared::Shared;
use super::observe::archive::Archive;
use super::observe::context::EventContext;
use super::observe::events::Facts;
use super::pipeline::Pipeline;
use crate::store::{
    ActingSession, ListSessions, Revocation, RevokeScope, SessionHandle, SessionRecord, UserId,
};

/// Maximum number of sessions in a list.
const MAX_LISTED: u32 = 1000;

/// Lists and ends the sessions of one user, never those of another. It is managed state of a Rocket
/// with [`Sessions`](crate::Sessions) attached: `&State<UserSessions>`. With several kinds of
/// session, that is the kind attached first; [`Attached::users`](crate::Attached::users) has those
/// of each.
///
/// # Example
///
/// ```
/// use rocket::{State, delete, serde::json::Json};
/// use rocket_diesel_sessions::{SessionError, SignedIn, UserSession, UserSessions};
///
/// /// Ends one of the user's devices and returns the others.
/// #[delete("/devices/<id>")]
/// async fn end(
///     session: SignedIn<Vec<String>>,
///     sessions: &State<UserSessions>,
///     id: &str,
/// ) -> Result<Json<Vec<UserSession>>, SessionError> {
///     sessions.revoke(session.user(), id).await?;
///     sessions.list(session.user()).await.map(Json)
/// }
/// ```
#[derive(Clone)]
pub struct UserSessions {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    policies: Arc<Policies>,
    /// The kind of the sessions. `None` for all kinds in the store.
    kind: Option<String>,
    /// The acting session, by its lookup half.
    by: Option<Uuid>,
    /// The context of the events that it causes.
    context: EventContext,
    /// The record of events, if there is one.
    archive: Option<Arc<Archive>>,
}

/// A session as its user may see it, without its token and data.
///
/// # Example
///
/// ```
/// use rocket::{State, get, serde::json::Json};
/// use rocket_diesel_sessions::{Session, SessionError, UserSessionPage, UserSessions};
///
/// #[get("/devices")]
/// async fn devices(
///     session: Session<u64>,
///     sessions: &State<UserSessions>,
/// ) -> Result<Json<UserSessionPage>, SessionError> {
///     let user = session.user_id().ok_or(SessionError::UserRefused)?;
///     Ok(Json(sessions.page(user, 100, None).await?))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UserSession {
    /// The session's handle.
    pub id: SessionHandle,
    /// User agent of the last touch, at most 512 characters long.
    pub user_agent: Option<String>,
    /// Address of the last touch.
    pub ip: Option<String>,
    /// When the session was created.
    pub created_at: DateTime<Utc>,
    /// Time of the last activity, with the precision of `touch_interval`.
    pub last_seen_at: DateTime<Utc>,
    /// When the session expires unless there is further activity.
    pub expires_at: DateTime<Utc>,
}

/// One page of a user's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UserSessionPage {
    /// Live sessions, newest token first.
    pub sessions: Vec<UserSession>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Uuid>,
}

impl From<SessionRecord> for UserSession {
    fn from(record: SessionRecord) -> Self {
        Self {
            id: record.id,
            user_agent: record.user_agent,
            ip: record.ip,
            created_at: record.created_at,
            last_seen_at: record.last_seen_at,
            expires_at: record.expires_at,
        }
    }
}

impl UserSessions {
    /// Returns the sessions of users for this kind of session.
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            pipeline: Arc::clone(&shared.pipeline),
            clock: Arc::clone(&shared.clock),
            policies: Arc::clone(&shared.policies),
            kind: Some(shared.kind.clone()),
            by: None,
            context: EventContext::default(),
            archive: shared.archive.clone(),
        }
    }

    /// Acts only while the user's session with this lookup half is still live. Otherwise nothing is
    /// ended and the call fails with [`SessionError::Ended`]. Without this, a slow request could
    /// act for a session that has since been signed out.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{Session, SessionError, UserSessions};
    ///
    /// async fn sign_out_everywhere(
    ///     session: &Session<Vec<String>>,
    ///     sessions: &UserSessions,
    /// ) -> Result<(), SessionError> {
    ///     if let (Some(user), Some(this)) = (session.user_id(), session.session_id()) {
    ///         sessions.by(this).revoke_all(user).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn by(&self, session_id: Uuid) -> Self {
        let by = Some(session_id);
        Self { by, ..self.clone() }
    }

    /// Acts on the user's sessions of all kinds in the same store. This is for kinds whose user ids
    /// mean the same users.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn was_disabled(sessions: &UserSessions, user_id: i64) -> Result<usize, SessionError> {
    ///     sessions.of_all_kinds().revoke_all(user_id).await
    /// }
    /// ```
    #[must_use]
    pub fn of_all_kinds(&self) -> Self {
        let kind = None;
        Self {
            kind,
            ..self.clone()
        }
    }

    /// Returns the user's live sessions with the newest 1000 tokens, newest first.
    /// [`page`](Self::page) returns the others.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn devices(sessions: &UserSessions) -> Result<(), SessionError> {
    ///     for device in sessions.list("ada").await? {
    ///         println!("{:?}, last used at {}", device.user_agent, device.last_seen_at);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn list(&self, user_id: impl Into<UserId>) -> Result<Vec<UserSession>, SessionError> {
        Ok(self.page(user_id, MAX_LISTED, None).await?.sessions)
    }

    /// Returns one page of the user's live sessions, newest token first: those after the cursor
    /// `after`, at most `limit` and at most 1000. A page can be shorter although there is a next
    /// one, because sessions that have expired under stricter new timeouts are omitted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn devices(sessions: &UserSessions) -> Result<(), SessionError> {
    ///     let mut after = None;
    ///     loop {
    ///         let page = sessions.page("ada", 20, after).await?;
    ///         println!("{} devices", page.sessions.len());
    ///         match page.next {
    ///             Some(next) => after = Some(next),
    ///             None => return Ok(()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn page(
        &self,
        user_id: impl Into<UserId>,
        limit: u32,
        after: Option<Uuid>,
    ) -> Result<UserSessionPage, SessionError> {
        let now = self.clock.now();
        let query = ListSessions {
            now,
            after,
            user_id: Some(user_id.into()),
            kind: self.kind.clone(),
            limit: limit.min(MAX_LISTED),
        };
        let page = self.pipeline.list(query).await?;
        let sessions = self.policies.live(page.sessions, now);
        Ok(UserSessionPage {
            sessions: sessions.into_iter().map(Into::into).collect(),
            next: page.next,
        })
    }

    /// Ends the user's session with this handle. Returns whether it existed.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn sign_out(sessions: &UserSessions) -> Result<bool, SessionError> {
    ///     sessions.revoke("ada", "tz4a98xxat96iws9zmbrgj3a").await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn revoke(
        &self,
        user_id: impl Into<UserId>,
        handle: impl Into<SessionHandle>,
    ) -> Result<bool, SessionError> {
        let ended = self
            .end(user_id.into(), RevokeScope::One(handle.into()))
            .await?;
        Ok(ended > 0)
    }

    /// Ends all of the user's sessions except the one with the handle `keep`. Returns their number.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn sign_out_others(sessions: &UserSessions) -> Result<usize, SessionError> {
    ///     sessions.revoke_others("ada", "tz4a98xxat96iws9zmbrgj3a").await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn revoke_others(
        &self,
        user_id: impl Into<UserId>,
        keep: impl Into<SessionHandle>,
    ) -> Result<usize, SessionError> {
        self.end(user_id.into(), RevokeScope::AllBut(keep.into()))
            .await
    }

    /// Ends all of the user's sessions. Returns their number.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionError, UserSessions};
    ///
    /// async fn was_disabled(sessions: &UserSessions, user_id: i64) -> Result<usize, SessionError> {
    ///     sessions.revoke_all(user_id).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn revoke_all(&self, user_id: impl Into<UserId>) -> Result<usize, SessionError> {
        self.end(user_id.into(), RevokeScope::All).await
    }

    /// Reports sessions, by handle, to metrics, statistics and hooks that the application has ended
    /// in its own transaction, for example when it deleted a user.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionHandle, UserSessions};
    ///
    /// /// After the commit of a transaction that has deleted rows of `sessions`.
    /// fn committed(sessions: &UserSessions, deleted: &[SessionHandle]) {
    ///     sessions.note_ended(deleted);
    /// }
    /// ```
    pub fn note_ended(&self, handles: &[SessionHandle]) {
        self.note(None, handles);
    }

    /// Reports sessions of a user like [`note_ended`](Self::note_ended). The events name the user, so
    /// that they are in the user's recent activity.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{EventContext, SessionHandle, UserSessions};
    ///
    /// /// After the commit of a new password, which has deleted rows of `sessions`.
    /// fn committed(sessions: &UserSessions, context: EventContext, deleted: &[SessionHandle]) {
    ///     let sessions = sessions.with_context(context.reason("password_changed"));
    ///     sessions.note_ended_of("ada", deleted);
    /// }
    /// ```
    pub fn note_ended_of(&self, user_id: impl Into<UserId>, handles: &[SessionHandle]) {
        self.note(Some(user_id.into()), handles);
    }

    fn note(&self, user: Option<UserId>, handles: &[SessionHandle]) {
        let facts = Facts {
            user,
            session_kind: self.kind.clone().unwrap_or_default(),
            context: self.context.clone(),
        };
        self.pipeline.note_ended(handles, &facts);
    }

    async fn end(&self, user_id: UserId, scope: RevokeScope) -> Result<usize, SessionError> {
        let now = self.clock.now();
        let revocation = Revocation {
            user_id,
            scope,
            kind: self.kind.clone(),
            by: self.by.map(|session_id| ActingSession { session_id, now }),
        };
        self.pipeline.revoke(revocation, self.context.clone()).await
    }
}

impl fmt::Debug for UserSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSessions").finish_non_exhaustive()
    }
}
