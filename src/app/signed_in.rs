//! The guard of what is for signed-in users, and how one becomes one.

use chrono::TimeDelta;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};

use super::data::SessionData;
use super::error::ApiError;
use super::users::Users;
use crate::{Login, Session, UserRecord};

/// A request of a signed-in user. As `Result<SignedIn, ApiError>` in a handler, it lets that one
/// say how the others are turned away.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) session: Session<SessionData>,
    pub(super) user_id: String,
    /// The session's public handle.
    pub(super) id: String,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignedIn {
    type Error = ApiError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ApiError> {
        let error = match request.guard::<Session<SessionData>>().await {
            Outcome::Success(session) => match (session.user_id(), session.id()) {
                (Some(user_id), Some(id)) => {
                    return Outcome::Success(Self {
                        session,
                        user_id,
                        id,
                    });
                }
                _ => ApiError::signed_out(),
            },
            Outcome::Error((_, error)) => error.into(),
            Outcome::Forward(status) => ApiError::of(status),
        };
        Outcome::Error((error.status(), error))
    }
}

impl SignedIn {
    /// The user's row.
    ///
    /// # Errors
    /// 401 if it was deleted a moment ago.
    pub(super) async fn user(&self, users: &Users) -> Result<UserRecord, ApiError> {
        let found = users.find(&self.user_id).await?;
        found.ok_or_else(ApiError::signed_out)
    }

    /// Whether the password was given within `reauthenticate_after`. A token is issued when it
    /// is, and at no other time.
    pub(super) fn has_just_given_password(&self, users: &Users) -> bool {
        let within = TimeDelta::from_std(users.reauthenticate_after()).unwrap_or(TimeDelta::MAX);
        self.session
            .token_issued_at()
            .is_some_and(|issued| users.now() - issued <= within)
    }

    /// Refuses what needs the password again.
    ///
    /// # Errors
    /// 403, with the way to give it.
    pub(super) fn require_password(&self, users: &Users) -> Result<(), ApiError> {
        if self.has_just_given_password(users) {
            return Ok(());
        }
        Err(ApiError::new(
            rocket::http::Status::Forbidden,
            "reauthentication_required",
            "the password was given too long ago: sign in again, with POST /api/auth/login, and \
             repeat this",
        ))
    }
}

/// Signs in a user whose password has just been found right, or chosen.
pub(super) async fn sign_in(
    session: &Session<SessionData>,
    user: &UserRecord,
) -> Result<(), ApiError> {
    let login = Login::new(&user.id).verified_against(&user.password_hash);
    Ok(session.login(login).await?)
}
