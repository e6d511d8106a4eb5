//! The guard for signed-in users.

use rocket::http::Status;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::store::{SessionRecord, UserRecord};
use rocket_diesel_sessions::{Session, SessionHandle, UserId, UserSessions};
use uuid::Uuid;

use crate::accounts::own_account::OwnAccount;
use crate::accounts::settings::Account;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::monitoring::audit::Trail;
use crate::session_data::SessionData;

/// A request of a signed-in user. Other visitors get 401, and browsers are sent to the page for
/// signing in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) session: Session<SessionData>,
    pub(crate) user_id: UserId,
    /// The session's handle.
    pub(crate) handle: SessionHandle,
    /// The lookup half of the token that came with the request.
    pub(crate) session_id: Uuid,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignedIn {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl SignedIn {
    /// Returns the signed-in user of a request, for guards that build on this one.
    ///
    /// # Errors
    /// 401 for visitors who are not signed in; 503 when the session cannot be loaded.
    pub(crate) async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let session = session(request).await?;
        if let Some(SessionRecord {
            user_id: Some(user_id),
            id: handle,
            session_id,
            ..
        }) = session.record()
        {
            return Ok(Self {
                session,
                user_id,
                handle,
                session_id,
            });
        }
        session.try_data()?;
        Err(ApiError::signed_out())
    }

    /// Returns the user's row.
    ///
    /// # Errors
    /// 401 if it was deleted a moment ago.
    pub(crate) async fn user(&self, users: &Users) -> Result<UserRecord, ApiError> {
        let found = users.find(&self.user_id).await?;
        found.ok_or_else(ApiError::signed_out)
    }

    /// Returns the user and the user's settings as they are stored.
    ///
    /// # Errors
    /// 401 if the user was deleted a moment ago.
    pub(crate) async fn stored_account(&self, users: &Users) -> Result<Account, ApiError> {
        let found = users.account(&self.user_id).await?;
        found.ok_or_else(ApiError::signed_out)
    }

    /// Returns whether the password was given within `reauthenticate_after`.
    pub(crate) fn has_just_given_password(&self, users: &Users) -> bool {
        self.session
            .authenticated_within(users.reauthenticate_after())
    }

    /// Refuses to go on if the password was given too long ago.
    ///
    /// # Errors
    /// 403 that says how to give it again.
    pub(crate) fn require_password(&self, users: &Users) -> Result<(), ApiError> {
        if self.has_just_given_password(users) {
            return Ok(());
        }
        Err(ApiError::new(
            Status::Forbidden,
            "reauthentication_required",
            "the password was given too long ago: sign in again, with POST /api/auth/login, and \
             repeat this request",
        ))
    }

    /// Returns the user's sessions, for this session to end others while it is live.
    pub(crate) fn sessions(&self, sessions: &UserSessions) -> UserSessions {
        let context = self.session.event_context();
        sessions.by(self.session_id).with_context(context)
    }

    /// Returns the user's own account, for this session to change it.
    pub(crate) fn account(&self, trail: Trail) -> OwnAccount<'_> {
        OwnAccount {
            user_id: &self.user_id,
            handle: &self.handle,
            session_id: self.session_id,
            session: &self.session,
            trail,
        }
    }
}

/// Returns the session of a request, for guards that build on it.
pub(crate) async fn session(request: &Request<'_>) -> Result<Session<SessionData>, ApiError> {
    match request.guard::<Session<SessionData>>().await {
        Outcome::Success(session) => Ok(session),
        Outcome::Error((_, error)) => Err(error.into()),
        Outcome::Forward(status) => Err(ApiError::of(status)),
    }
}
