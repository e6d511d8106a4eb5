//! Errors of accounts. Nothing here knows of HTTP.

use std::time::Duration;

use rocket_diesel_sessions::SessionError;
use thiserror::Error;

use super::refusal::Refusal;

/// The reason why an account cannot be created, changed or signed in to.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The username or the password is not allowed. The message says what is wrong with it and what
    /// is allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The password cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
    /// Visitors may not register.
    #[error("registration is closed; an administrator can add an account for you")]
    RegistrationClosed,
    /// Someone else has the username.
    #[error("username: {0:?} is taken")]
    Taken(String),
    /// There is no such user, or no longer.
    #[error("there is no user with this id")]
    NoUser,
    /// The account is that of the last administrator.
    #[error(
        "this is the only administrator who can sign in: make someone else an administrator first"
    )]
    LastAdministrator,
    /// The username or the password is wrong.
    #[error("the username or the password is wrong")]
    WrongCredentials,
    /// The password is wrong, where no username was asked for.
    #[error("the password is wrong")]
    WrongPassword,
    /// The password was right and was changed by another request in the meantime.
    #[error("the password was changed by another request in the meantime")]
    PasswordReplaced,
    /// The new password is the current one.
    #[error("the new password is the current one; choose another")]
    SamePassword,
    /// There were too many attempts.
    #[error("{what}; try again later")]
    TooMany {
        /// What was done too often.
        what: &'static str,
        /// The time to wait.
        wait: Duration,
    },
    /// The session layer failed, or the session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}
