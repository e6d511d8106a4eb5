//! The session layer's errors, and the one place that maps them to HTTP.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rocket::Request;
use rocket::http::Status;
use rocket::response::{Responder, Result as Response};
use thiserror::Error;

use crate::Cause;
use crate::store::StoreError;

/// Why a session operation failed. Absence and expiry are not errors.
///
/// As a responder it gives its [`status`](Self::status) to the application's catchers.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed. After a write it may be unknown whether it was committed. 503.
    #[error("the session store is unavailable: {0}")]
    Unavailable(#[source] Arc<StoreError>),
    /// The store refused a value, or holds one that no session has; trying again does not help.
    /// Nothing was written. 500.
    #[error("the session store refused the operation: {0}")]
    Refused(#[source] Arc<StoreError>),
    /// The store did not answer within `timeout`. After a write, as above. 503.
    #[error("the session store did not answer in time")]
    Timeout,
    /// More operations are waiting than `max_queue` allows; this one was not tried. 503.
    #[error("too many session operations are waiting")]
    Overloaded,
    /// The operation was given up: the store panicked, or the server is shutting down. After a
    /// write, as above. 503.
    #[error("the session operation was given up")]
    Aborted,
    /// The session was ended, or its token replaced, while this request was using it. 409.
    #[error("the session was ended by another request")]
    Ended,
    /// The user to be signed in does not exist, is disabled, or has another password by now. 401.
    #[error("the user may not sign in")]
    UserRefused,
    /// The user has `max_sessions_per_user` sessions already, and logins are refused then. 409.
    #[error("the user has as many sessions as allowed")]
    TooManySessions,
    /// Statistics are not kept: `Sessions` was given a store of sessions alone. 500.
    #[error("statistics are not kept; give Sessions a StatsStore")]
    NoStatistics,
    /// The answer's headers are out, and this would need a new cookie: in a stream, a spawned task, or
    /// a response fairing that is attached after `Sessions`. Nothing was stored. 500.
    #[error("the answer is out, so no cookie can be sent for a new session or token")]
    Answered,
    /// The `commit` of [`rotate_with`](crate::Session::rotate_with) used the session that it is
    /// rotating. 500.
    #[error("the session is being rotated by the transaction that asks for it")]
    Rotating,
    /// The data is larger than `max_data_size`; nothing was stored. 413.
    #[error("session data of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size as JSON, in bytes.
        size: usize,
        /// `max_data_size` in bytes.
        limit: usize,
    },
    /// The stored data is not of the expected type (see `on_undecodable`). 500.
    #[error("session {id} has data of another type: {reason}")]
    Undecodable {
        /// The session's public handle.
        id: String,
        /// What did not fit.
        reason: String,
    },
    /// The data cannot be written as JSON, or would not be read back as it is: it holds `NaN` or
    /// an infinity, nests deeper than 128 levels, or its serde attributes do not agree with one
    /// another. Nothing was stored. 500.
    #[error("the session data cannot be encoded: {0}")]
    Encode(#[source] Cause),
    /// The system gave no random bytes. 500.
    #[error("no random bytes: {0}")]
    Random(#[source] Cause),
    /// `Sessions::fairing()` for this type of data is not attached. 500.
    #[error("Sessions::fairing() for this type of data is not attached")]
    NotAttached,
}

impl SessionError {
    /// The HTTP status that tells a client what happened.
    pub fn status(&self) -> Status {
        match self {
            Self::Unavailable(_) | Self::Timeout | Self::Overloaded | Self::Aborted => {
                Status::ServiceUnavailable
            }
            Self::Ended | Self::TooManySessions => Status::Conflict,
            Self::UserRefused => Status::Unauthorized,
            Self::TooLarge { .. } => Status::PayloadTooLarge,
            Self::Refused(_)
            | Self::Undecodable { .. }
            | Self::Encode(_)
            | Self::Random(_)
            | Self::Answered
            | Self::Rotating
            | Self::NotAttached
            | Self::NoStatistics => Status::InternalServerError,
        }
    }
}

impl SessionError {
    /// All names that [`kind`](Self::kind) gives.
    pub(crate) const KINDS: [&'static str; 17] = [
        "outage",
        "unavailable",
        "refused",
        "timeout",
        "overloaded",
        "aborted",
        "ended",
        "user_refused",
        "too_many_sessions",
        "too_large",
        "undecodable",
        "encode",
        "random",
        "answered",
        "rotating",
        "not_attached",
        "no_statistics",
    ];

    /// Its name in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(error) if matches!(**error, StoreError::Outage { .. }) => "outage",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Aborted => "aborted",
            Self::Ended => "ended",
            Self::UserRefused => "user_refused",
            Self::TooManySessions => "too_many_sessions",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable { .. } => "undecodable",
            Self::Encode(_) => "encode",
            Self::Random(_) => "random",
            Self::Answered => "answered",
            Self::Rotating => "rotating",
            Self::NotAttached => "not_attached",
            Self::NoStatistics => "no_statistics",
        }
    }

    /// Whether the store is at fault, and trying again later may help.
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

/// A setting that cannot be used: its key, its value, and what is allowed.
#[derive(Clone, Debug, Error)]
#[error("{key}{value}: {allowed}")]
pub struct ConfigError {
    key: String,
    value: String,
    allowed: String,
}

impl ConfigError {
    /// Says that the setting `key` has a value that is not allowed, and what is.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::ConfigError;
    ///
    /// let error = ConfigError::new("SHOP_COLOR", "blu", "allowed are red, blue");
    /// assert_eq!(error.to_string(), "SHOP_COLOR = blu: allowed are red, blue");
    /// ```
    pub fn new(
        key: impl Into<String>,
        value: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self {
            key: key.into(),
            value: format!(" = {value}"),
            allowed: allowed.to_string(),
        }
    }

    /// A setting whose value is not to be shown, or that is missing.
    pub fn unfit(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            value: String::new(),
            allowed: problem.to_string(),
        }
    }

    /// The setting, as `sessions.idle_timeout` or `SESSION_SECRET`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Why sessions could not be set up: the launch stops with this.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration cannot be read.
    #[error("{0}")]
    Figment(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database lacks migrations, and `auto_migrate` is off.
    #[error(
        "{database} lacks the migrations {}; run `rocket_diesel_sessions migrate`, or set \
         sessions.auto_migrate = true", .pending.join(", ")
    )]
    PendingMigrations {
        /// The database, without its password.
        database: String,
        /// Names of the migrations that have not been run.
        pending: Vec<String>,
    },
    /// The database lacks migrations, and what was asked for is not to run them.
    #[error(
        "{database} lacks the migrations {}; run `rocket_diesel_sessions migrate` first",
        .pending.join(", ")
    )]
    NotMigrated {
        /// The database, without its password.
        database: String,
        /// Names of the migrations that have not been run.
        pending: Vec<String>,
    },
    /// The debug profile's secret file cannot be made or read.
    #[error("{}: {source}; set SESSION_SECRET instead", .path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What went wrong with it.
        source: std::io::Error,
    },
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[source] Cause),
    /// The first value of the session data could not be stored and read back.
    #[error("{type_name}::default(): {reason}")]
    DefaultData {
        /// The type of the session data.
        type_name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another `Sessions::fairing()` is attached already.
    #[error("Sessions::fairing() is attached twice; one Rocket has one type of session data")]
    AttachedTwice,
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(String),
    /// The system gave no threads.
    #[error("no worker threads: {0}")]
    Threads(#[source] std::io::Error),
}
