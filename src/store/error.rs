//! Errors of the stores. Absence, expiry and refusals by the session layer are values, not errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ids::SessionHandle;
use crate::Cause;

/// The reason why a store could not do what it was asked.
///
/// # For authors of a store
///
/// The variant that a store returns decides the outcome of the request. No variant ends a session
/// or removes a cookie.
///
/// | error | the request gets | the session layer |
/// |---|---|---|
/// | [`Constraint`](Self::Constraint), [`Refused`](Self::Refused), [`Corrupt`](Self::Corrupt) | 500 | repeats a batch in parts, so that only the faulty row fails |
/// | [`Query`](Self::Query) | 503, or 500 if a single row of a write fails | repeats a batch in parts |
/// | [`Server`](Self::Server), [`Full`](Self::Full), [`Locked`](Self::Locked), [`Partial`](Self::Partial) | 503 | repeats a batch in parts |
/// | [`Serialization`](Self::Serialization) | 503 if it persists | tries again |
/// | [`Uncertain`](Self::Uncertain) | 503 | looks for a change of token and takes it back |
/// | [`Connect`](Self::Connect), [`Broken`](Self::Broken), [`Other`](Self::Other) | 503 | answers further requests 503 until [`probe`](super::SessionStore::probe) succeeds |
/// | all others | 503 | |
///
/// [`Other`](Self::Other) wraps any error. It is the right variant for all errors that a store does
/// not distinguish:
///
/// ```
/// use rocket_diesel_sessions::store::StoreError;
/// # struct Remote;
/// # impl Remote {
/// #     fn get(&self, _: &str) -> std::io::Result<Option<String>> { Ok(None) }
/// # }
///
/// fn read(remote: &Remote, key: &str) -> Result<Option<String>, StoreError> {
///     remote.get(key).map_err(StoreError::other)
/// }
/// # assert!(read(&Remote, "key").unwrap().is_none());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `DATABASE_URL` does not name a database that this build supports.
    #[error("DATABASE_URL: {0}")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to {database}: {reason}")]
    #[non_exhaustive]
    Connect {
        /// The database, without its password.
        database: String,
        /// The message of the database or its client library.
        reason: String,
        /// Whether waiting is useless because the database has answered and refused.
        permanent: bool,
    },
    /// All connections stayed in use, or new ones failed, until the deadline.
    #[error("no database connection within {waited:?}: {reason}")]
    #[non_exhaustive]
    Pool {
        /// Time that the caller waited.
        waited: Duration,
        /// The pool's last error.
        reason: String,
    },
    /// The database has failed recently and was not asked again. Nothing was written.
    #[error("the database is failing: {reason}")]
    Outage {
        /// The error with which the database failed.
        reason: String,
    },
    /// Another writer kept the SQLite database locked until the deadline. Nothing was written.
    #[error("another writer kept the database busy for {waited:?}")]
    Busy {
        /// Time that the caller waited.
        waited: Duration,
    },
    /// The store panicked. It is unknown whether a write was committed.
    #[error("the store panicked")]
    Panicked,
    /// The operation was not finished by its deadline and was rolled back.
    #[error("the operation was not finished in time and was rolled back")]
    TooLate,
    /// The connection broke. It is unknown whether a write was committed.
    #[error("the database connection broke: {0}")]
    Broken(#[source] Cause),
    /// The transaction conflicted with another (SQLSTATE 40001, 40P01). Nothing was written.
    #[error("the database asked for the transaction to be run again: {0}")]
    Serialization(#[source] Cause),
    /// Another transaction held a lock for longer than a statement waits (SQLSTATE 55P03). Nothing
    /// was written.
    #[error("another transaction holds a lock: {0}")]
    Locked(#[source] Cause),
    /// Another transaction held the row's lock for longer than an operation waits. Nothing was
    /// written.
    #[error("another transaction holds the row")]
    Held,
    /// The server accepts no writes (SQLSTATE 25006) because it is a standby, or has become one.
    /// Nothing was written.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] Cause),
    /// A value violates a constraint: for example, an id is taken or a user does not exist. Nothing
    /// was written.
    #[error("the database refused a value: {0}")]
    Constraint(#[source] Cause),
    /// The database refuses this value or row but accepts others: for example, a text is not
    /// representable in its encoding, a value is too long, or a trigger objects. Nothing was
    /// written, and trying again does not help.
    #[error("the database refused a row: {0}")]
    Refused(#[source] Cause),
    /// A statement failed for a reason that the store does not recognize, possibly because of a
    /// single row. Nothing was written.
    #[error("the database failed a statement: {0}")]
    Query(#[source] Cause),
    /// A statement failed for a reason that concerns every row: it timed out, or the table, its
    /// columns or the rights to it are missing. Nothing was written, and trying again later may
    /// help.
    #[error("the database failed a statement: {0}")]
    Server(#[source] Cause),
    /// The database has no space for the write, although it may have had space for an earlier row.
    /// Nothing was written.
    #[error("the database has no space left: {0}")]
    Full(#[source] Cause),
    /// A part of the database, such as a node of a cluster, cannot be reached. Nothing was written.
    /// Sessions in other parts can still be used.
    #[error("a part of the database cannot be reached: {0}")]
    Partial(#[source] Cause),
    /// A commit failed in a part of the database. It is unknown whether the write was committed.
    #[error("a commit failed in a part of the database: {0}")]
    Uncertain(#[source] Cause),
    /// The store failed for an unspecified reason. This counts as a failure of the database, after
    /// which it is unknown whether a write was committed.
    #[error("the session store failed: {0}")]
    Other(#[source] Cause),
    /// This server's clock and the database's differ too much to decide which sessions have
    /// expired. Nothing was deleted.
    #[error(
        "this server's clock shows {ours} and the database's shows {theirs}: nothing is swept until \
         they agree"
    )]
    ClockSkew {
        /// The time of this server's clock.
        ours: DateTime<Utc>,
        /// The time of the database's clock.
        theirs: DateTime<Utc>,
    },
    /// A migration could not be run.
    #[error("migration of {database} failed: {reason}")]
    #[non_exhaustive]
    Migration {
        /// The database, without its password.
        database: String,
        /// The migration and the database's message.
        reason: String,
    },
    /// A stored row has a value that a session cannot have, such as a hash of the wrong length.
    #[error("row {id} of sessions cannot be read: {reason}")]
    #[non_exhaustive]
    Corrupt {
        /// The row's handle.
        id: SessionHandle,
        /// The fault in the row.
        reason: String,
    },
}

impl StoreError {
    /// Wraps any error as a failure of the database: [`StoreError::Other`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::other(std::io::Error::other("connection reset"));
    /// assert_eq!(error.to_string(), "the session store failed: connection reset");
    /// ```
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(Cause::new(error))
    }

    /// Returns the error for a value that violates a constraint: [`StoreError::Constraint`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::constraint("the id is taken");
    /// assert_eq!(error.to_string(), "the database refused a value: the id is taken");
    /// ```
    pub fn constraint(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Constraint(Cause::new(error))
    }

    /// Returns the error for a value that can never be stored: [`StoreError::Refused`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::refused("the value has 2 MiB, 1 MiB is allowed");
    /// assert!(matches!(error, StoreError::Refused(_)));
    /// ```
    pub fn refused(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused(Cause::new(error))
    }

    /// Returns the error for a connection that broke while in use: [`StoreError::Broken`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::broken(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    /// assert!(matches!(error, StoreError::Broken(_)));
    /// ```
    pub fn broken(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broken(Cause::new(error))
    }

    /// Returns the error for a failure to connect that waiting may cure: [`StoreError::Connect`].
    /// `database` is shown and must not contain a password.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::connect("redis://cache", "connection refused");
    /// assert_eq!(error.to_string(), "cannot connect to redis://cache: connection refused");
    /// ```
    pub fn connect(database: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Connect {
            database: database.to_string(),
            reason: reason.to_string(),
            permanent: false,
        }
    }

    /// Returns the error for a wait in which no connection became free: [`StoreError::Pool`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::pool(Duration::from_secs(2), "all 8 are in use");
    /// assert!(matches!(error, StoreError::Pool { .. }));
    /// ```
    pub fn pool(waited: Duration, reason: impl fmt::Display) -> Self {
        Self::Pool {
            waited,
            reason: reason.to_string(),
        }
    }

    /// Returns the error for a stored session that cannot be read: [`StoreError::Corrupt`]. `id` is
    /// the session's handle.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::corrupt("tz4a98xxat96iws9zmbrgj3a", "no user id");
    /// assert!(matches!(error, StoreError::Corrupt { .. }));
    /// ```
    pub fn corrupt(id: impl Into<SessionHandle>, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            id: id.into(),
            reason: reason.to_string(),
        }
    }
}

impl StoreError {
    /// Returns whether the database reported this error for the statement, rather than being at
    /// fault itself. The statement may succeed without the row that caused it.
    pub(crate) fn is_of_statement(&self) -> bool {
        matches!(
            self,
            Self::Constraint(_)
                | Self::Refused(_)
                | Self::Query(_)
                | Self::Server(_)
                | Self::Full(_)
                | Self::Locked(_)
                | Self::Partial(_)
                | Self::Corrupt { .. }
        )
    }

    /// Returns whether it is certain that a call which failed with this error wrote nothing. It is
    /// not after a broken connection, an unspecified error, a panic, or a call that was not
    /// finished in time.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(
            self,
            Self::Broken(_) | Self::Uncertain(_) | Self::Other(_) | Self::TooLate | Self::Panicked
        )
    }
}
