//! The guard of what is for signed-in users, and how one becomes one.

use chrono::TimeDelta;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::store::{ActingSession, SessionRecord, UserRecord};
use rocket_diesel_sessions::{Login, Session};
use uuid::Uuid;

use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::monitoring::audit::{Event, Trail};
use crate::session_data::SessionData;

/// How far the clocks of two instances may be apart: a token that seems to have been issued later
/// than that is not a fresh one.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// A request of a signed-in user. As `Result<SignedIn, ApiError>` in a handler, it lets that one
/// say how the others are turned away.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) session: Session<SessionData>,
    pub(crate) user_id: String,
    /// The session's public handle.
    pub(crate) id: String,
    /// The lookup half of the token it came with.
    pub(crate) session_id: Uuid,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignedIn {
    type Error = ApiError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ApiError> {
        let error = match request.guard::<Session<SessionData>>().await {
            Outcome::Success(session) => match session.record() {
                Some(SessionRecord {
                    user_id: Some(user_id),
                    id,
                    session_id,
                    ..
                }) => {
                    return Outcome::Success(Self {
                        session,
                        user_id,
                        id,
                        session_id,
                    });
                }
                _ => match session.try_data() {
                    Ok(_) => ApiError::signed_out(),
                    Err(error) => error.into(),
                },
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
    pub(crate) async fn user(&self, users: &Users) -> Result<UserRecord, ApiError> {
        let found = users.find(&self.user_id).await?;
        found.ok_or_else(ApiError::signed_out)
    }

    /// Whether the password was given within `reauthenticate_after`. A token is issued when it
    /// is, and at no other time.
    pub(crate) fn has_just_given_password(&self, users: &Users) -> bool {
        let within = TimeDelta::from_std(users.reauthenticate_after()).unwrap_or(TimeDelta::MAX);
        self.session.token_issued_at().is_some_and(|issued| {
            let ago = users.now() - issued;
            (-CLOCKS_DIFFER..=within).contains(&ago)
        })
    }

    /// This session, for what is to be done only while it is live.
    pub(crate) fn acting(&self, users: &Users) -> ActingSession {
        ActingSession {
            session_id: self.session_id,
            now: users.now(),
        }
    }

    /// Refuses what needs the password again.
    ///
    /// # Errors
    /// 403, with the way to give it.
    pub(crate) fn require_password(&self, users: &Users) -> Result<(), ApiError> {
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
pub(crate) async fn sign_in(
    session: &Session<SessionData>,
    user: &UserRecord,
    trail: Trail,
) -> Result<(), ApiError> {
    let login = Login::new(&user.id).verified_against(&user.password_hash);
    session.login(login).await?;
    let entry = trail.event(Event::Login).user(&*user.id).by(&user.id);
    entry.session(session.handle().as_deref()).write();
    Ok(())
}

impl SignedIn {
    /// Ends the session of the request.
    pub(crate) async fn sign_out(&self, trail: Trail) -> Result<(), ApiError> {
        self.session.logout().await?;
        let entry = trail.event(Event::Logout).user(&*self.user_id);
        entry.by(&self.user_id).session(&*self.id).write();
        Ok(())
    }
}
