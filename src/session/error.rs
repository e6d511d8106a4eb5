//! The session layer's errors and the only mapping of them to HTTP statuses.

mod setup;

use std::sync::Arc;

use rocket::Request;
use rocket::http::Status;
use rocket::response::{Responder, Result as Response};
use thiserror::Error;

use crate::Cause;
use crate::store::{SessionHandle, StoreError, UserId};

pub use self::setup::{ConfigError, SetupError};

/// The reason why a session operation failed. Absence and expiry are not errors.
///
/// As a responder, it passes its [`status`](Self::status) to the application's catchers.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed. It may be unknown whether a write was committed. 503.
    #[error("the session store is unavailable: {0}")]
    Unavailable(#[source] Arc<StoreError>),
    /// The store refused a value, or contains an unreadable one. Nothing was written, and trying
    /// again does not help. 500.
    #[error("the session store refused the operation: {0}")]
    Refused(#[source] Arc<StoreError>),
    /// The store did not answer within `timeout`. It may be unknown whether a write was committed.
    /// 503.
    #[error("the session store did not answer in time")]
    Timeout,
    /// More operations are waiting than `max_queue` allows. This one was not tried. 503.
    #[error("too many session operations are waiting")]
    Overloaded,
    /// The operation was abandoned because the store panicked or the server is shutting down. It
    /// may be unknown whether a write was committed. 503.
    #[error("the session operation was abandoned")]
    Aborted,
    /// The session was ended, or its token was replaced, while this request was using it. 409.
    #[error("the session was ended by another request")]
    Ended,
    /// Another request changed the data that [`set`](crate::Session::set) was to replace. Nothing
    /// was stored. 409.
    #[error("the session data was changed by another request")]
    Stale,
    /// The user to be signed in does not exist, is disabled, or has a different password by now.
    /// 401.
    #[error("the user may not sign in")]
    UserRefused,
    /// The guard [`SignedIn`](crate::SignedIn) refused a visitor who is not signed in. 401.
    #[error("sign in first")]
    SignedOut,
    /// The guard [`Fresh`](crate::Fresh) refused a user who signed in longer ago than `fresh_for`.
    /// 403.
    #[error("sign in again: the last time is too long ago")]
    ReauthenticationRequired,
    /// The user already has `max_sessions_per_user` sessions, and the settings refuse further
    /// logins. 409.
    #[error("the user has reached the limit of sessions")]
    TooManySessions,
    /// Statistics are not kept, because `Sessions` was given a store without statistics. 500.
    #[error("statistics are not kept; give Sessions a StatsStore")]
    NoStatistics,
    /// Events are not recorded, because `events_retention` is zero or `Sessions` was given a store
    /// without them. 500.
    #[error("events are not recorded; see sessions.events_retention and Sessions::events")]
    NoEvents,
    /// The response's headers are out, and the operation would need a new cookie. This happens in a
    /// stream, in a spawned task, or in a response fairing that is attached after `Sessions`.
    /// Nothing was stored. 500.
    #[error(
        "the response is already being sent, so no cookie can be set for a new session or token"
    )]
    Answered,
    /// The `commit` of [`rotate_with`](crate::Session::rotate_with) or
    /// [`login_with`](crate::Session::login_with) used the session whose token it changes. 500.
    #[error("the session cannot be used by the transaction that changes its token")]
    Rotating,
    /// The `commit` of [`login_with`](crate::Session::login_with) returned `Ok` without applying the
    /// login. No one was signed in. 500.
    #[error("login_with: the closure succeeded and did not apply the login")]
    NotApplied,
    /// [`login_with`](crate::Session::login_with) requires that a
    /// [`DieselStore`](crate::DieselStore) keeps the sessions. 500.
    #[error("login_with needs sessions in a DieselStore, see SessionStore::diesel")]
    NotDiesel,
    /// The data is larger than `max_data_size`. Nothing was stored. 413.
    #[error("the session data of {size} bytes exceeds the limit of {limit}")]
    #[non_exhaustive]
    TooLarge {
        /// Size of the data as JSON, in bytes.
        size: usize,
        /// `max_data_size` in bytes.
        limit: usize,
    },
    /// The stored data cannot be decoded as the expected type (see `on_undecodable`). 500.
    #[error("the data of session {id} cannot be decoded: {reason}")]
    #[non_exhaustive]
    Undecodable {
        /// The session's handle.
        id: SessionHandle,
        /// The kind of the fault and its place in the data, but nothing of its content.
        reason: String,
    },
    /// The data cannot be written as JSON or would be read back differently: it contains `NaN` or
    /// an infinity, is nested more than 128 levels deep, or has contradictory serde attributes.
    /// Nothing was stored. 500.
    #[error("the session data cannot be encoded: {0}")]
    Encode(#[source] Cause),
    /// The system's random number generator failed. 500.
    #[error("the random number generator failed: {0}")]
    Random(#[source] Cause),
    /// `Sessions::fairing()` is not attached for this type of data. 500.
    #[error("Sessions::fairing() for this type of data is not attached")]
    NotAttached,
}

/// Two errors are equal if they are of the same kind and have the same fields. One with a cause is equal
/// to its clones only: no two failures are the same because they say the same.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::SessionError;
/// use rocket_diesel_sessions::store::StoreError;
///
/// assert_eq!(SessionError::Ended, SessionError::Ended);
/// let failed = SessionError::from(StoreError::other("connection reset"));
/// assert_eq!(failed, failed.clone());
/// assert_ne!(failed, SessionError::from(StoreError::other("connection reset")));
/// ```
impl PartialEq for SessionError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unavailable(one), Self::Unavailable(other))
            | (Self::Refused(one), Self::Refused(other)) => Arc::ptr_eq(one, other),
            (Self::Encode(one), Self::Encode(other)) | (Self::Random(one), Self::Random(other)) => {
                one == other
            }
            (
                Self::TooLarge { size, limit },
                Self::TooLarge {
                    size: other_size,
                    limit: other_limit,
                },
            ) => (size, limit) == (other_size, other_limit),
            (
                Self::Undecodable { id, reason },
                Self::Undecodable {
                    id: other_id,
                    reason: other_reason,
                },
            ) => (id, reason) == (other_id, other_reason),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for SessionError {}

/// The error's [`status`](SessionError::status), so that `?` works in handlers that return
/// `Result<_, Status>`.
///
/// # Example
///
/// ```
/// use rocket::{http::Status, post};
/// use rocket_diesel_sessions::Session;
///
/// #[post("/visit")]
/// async fn visit(session: Session<u64>) -> Result<String, Status> {
///     Ok(session.update(|visits| { *visits += 1; *visits }).await?.to_string())
/// }
/// ```
impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        error.status()
    }
}

impl SessionError {
    /// Returns the error of a refused login, whose reason only the log gives.
    pub(crate) fn user_refused(user: &UserId) -> Self {
        tracing::info!(
            "user {:?} may not sign in: the table users has no such row, or the user is disabled or \
             has another password by now (with sessions.users = \"external\", there is no such \
             table, and nothing that Login::verified_against could compare)",
            user.as_str()
        );
        Self::UserRefused
    }

    /// Returns the HTTP status for this error.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::http::Status;
    /// use rocket_diesel_sessions::SessionError;
    ///
    /// assert_eq!(SessionError::Timeout.status(), Status::ServiceUnavailable);
    /// assert_eq!(SessionError::Ended.status(), Status::Conflict);
    /// ```
    pub fn status(&self) -> Status {
        match self {
            Self::Unavailable(_) | Self::Timeout | Self::Overloaded | Self::Aborted => {
                Status::ServiceUnavailable
            }
            Self::Ended | Self::Stale | Self::TooManySessions => Status::Conflict,
            Self::UserRefused | Self::SignedOut => Status::Unauthorized,
            Self::ReauthenticationRequired => Status::Forbidden,
            Self::TooLarge { .. } => Status::PayloadTooLarge,
            Self::Refused(_)
            | Self::Undecodable { .. }
            | Self::Encode(_)
            | Self::Random(_)
            | Self::Answered
            | Self::Rotating
            | Self::NotApplied
            | Self::NotDiesel
            | Self::NotAttached
            | Self::NoStatistics
            | Self::NoEvents => Status::InternalServerError,
        }
    }
}

impl SessionError {
    /// All names that [`kind`](Self::kind) returns.
    pub(crate) const KINDS: [&'static str; 23] = [
        "outage",
        "unavailable",
        "refused",
        "timeout",
        "overloaded",
        "aborted",
        "ended",
        "stale",
        "user_refused",
        "signed_out",
        "reauthentication_required",
        "too_many_sessions",
        "too_large",
        "undecodable",
        "encode",
        "random",
        "answered",
        "rotating",
        "not_applied",
        "not_diesel",
        "not_attached",
        "no_statistics",
        "no_events",
    ];

    /// Returns the error's name in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(error) if matches!(**error, StoreError::Outage { .. }) => "outage",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Aborted => "aborted",
            Self::Ended => "ended",
            Self::Stale => "stale",
            Self::UserRefused => "user_refused",
            Self::SignedOut => "signed_out",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::TooManySessions => "too_many_sessions",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable { .. } => "undecodable",
            Self::Encode(_) => "encode",
            Self::Random(_) => "random",
            Self::Answered => "answered",
            Self::Rotating => "rotating",
            Self::NotApplied => "not_applied",
            Self::NotDiesel => "not_diesel",
            Self::NotAttached => "not_attached",
            Self::NoStatistics => "no_statistics",
            Self::NoEvents => "no_events",
        }
    }

    /// Returns whether the store is at fault and trying again later may help.
    pub(crate) fn is_outage(&self) -> bool {
        self.status() == Status::ServiceUnavailable
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Constraint(_) | StoreError::Refused(_) | StoreError::Corrupt { .. } => {
                Self::Refused(Arc::new(error))
            }
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl<'r> Responder<'r, 'static> for SessionError {
    fn respond_to(self, _: &'r Request<'_>) -> Response<'static> {
        Err(self.status())
    }
}
