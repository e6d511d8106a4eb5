//! Recognising users by their passwords, within the limits on attempts.

use std::time::Duration;

use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{SessionError, SessionHandle, UserId};

use super::places::Urgency;
use super::throttle::{At, Guess, TOO_MANY_PASSWORDS};
use crate::accounts::error::AccountError;
use crate::accounts::username;
use crate::accounts::users::Users;
use crate::monitoring::audit::{Event, Trail};
use crate::monitoring::counters::Action;

impl Users {
    /// Returns the user with this name and password. A failed attempt is counted here, a successful
    /// one when the caller has signed in the user.
    ///
    /// # Errors
    /// When there is no such user, for whatever reason and at the same cost, and after too many
    /// attempts. A right password is accepted from any address.
    pub(crate) async fn recognise(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, AccountError> {
        // A name that is not allowed is looked up too, so that it costs the same.
        let username = username::fold(username).unwrap_or_default();
        let found = self.by_name(&username);
        let at = At::User(&username);
        let recognised = self.verify(at, trail, found, password).await;
        match recognised {
            Ok(user) => Ok(user),
            refused => self.counted(Action::Login, refused),
        }
    }

    /// Confirms the password of a signed-in user, in an attempt that is counted here. `session` is
    /// the handle of the session that asks.
    ///
    /// # Errors
    /// As for [`recognise`](Self::recognise).
    pub(crate) async fn confirm(
        &self,
        user_id: &UserId,
        session: &SessionHandle,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, AccountError> {
        let confirmed = self.check(user_id, session, password, trail).await;
        self.counted(Action::Reauthenticate, confirmed)
    }

    /// Confirms the password of a signed-in user, in an attempt that the caller counts.
    ///
    /// # Errors
    /// As for [`recognise`](Self::recognise).
    pub(in crate::accounts) async fn check(
        &self,
        user_id: &UserId,
        session: &SessionHandle,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, AccountError> {
        let found = self.find(user_id);
        let at = At::Session(session);
        let verified = self.verify(at, trail, found, password).await;
        verified.map_err(|error| match error {
            AccountError::WrongCredentials => AccountError::WrongPassword,
            error => error,
        })
    }

    async fn verify(
        &self,
        at: At<'_>,
        trail: Trail,
        found: impl Future<Output = Result<Option<UserRecord>, SessionError>>,
        password: &str,
    ) -> Result<UserRecord, AccountError> {
        // An empty field is no guess.
        if password.is_empty() {
            return Err(AccountError::WrongCredentials);
        }
        let session = match at {
            At::Session(handle) => Some(handle),
            At::User(_) => None,
        };
        let from = trail.ip();
        let limited = |wait| limited(trail, session, TOO_MANY_PASSWORDS, wait);
        let counted = self.guesses.count(Guess { at, from }).map_err(limited)?;
        let address = self.guesses.count_address(from);
        let found = found.await?;
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        // Other people may share an address that is over its limit. Their passwords are still
        // verified, after everyone else's.
        let urgency = match address {
            Ok(_) => Urgency::SignIn,
            Err(_) => Urgency::OverLimit,
        };
        let is_right = self.hasher.verify(password, hash, urgency).await?;
        match found {
            Some(user) if is_right && user.disabled_at.is_none() => Ok(user),
            found => {
                counted.stays();
                address.map_err(limited)?.stays();
                // Without the name as typed, which may be a password.
                let user_id = found.map(|user| user.id);
                let failed = trail.event(Event::LoginFailed);
                failed.user(user_id.as_ref()).session(session).write();
                Err(AccountError::WrongCredentials)
            }
        }
    }
}

/// Records an attempt that came after too many others, and returns the refusal.
pub(in crate::accounts) fn limited(
    trail: Trail,
    session: Option<&SessionHandle>,
    what: &'static str,
    wait: Duration,
) -> AccountError {
    trail.event(Event::LoginLimited).session(session).write();
    AccountError::TooMany { what, wait }
}
