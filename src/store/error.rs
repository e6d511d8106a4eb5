//! What can go wrong below the session layer. Absent, expired and refused are values, not errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::Cause;

/// Why a store could not do what it was asked.
///
/// # For authors of a store
///
/// What a store reports decides what becomes of the request. Nothing here ends a session or removes
/// a cookie.
///
/// | error | the request gets | the session layer |
/// |---|---|---|
/// | [`Constraint`](Self::Constraint), [`Refused`](Self::Refused), [`Corrupt`](Self::Corrupt) | 500 | runs a batch again in parts, so that one row fails by itself |
/// | [`Query`](Self::Query) | 503, or 500 if one row fails by itself in a write | the same |
/// | [`Server`](Self::Server), [`Full`](Self::Full), [`Locked`](Self::Locked) | 503 | the same |
/// | [`Serialization`](Self::Serialization) | 503 if it goes on | tries again |
/// | [`Connect`](Self::Connect), [`Broken`](Self::Broken), [`Other`](Self::Other) | 503 | answers further requests 503 until [`probe`](super::SessionStore::probe) succeeds |
/// | all others | 503 | |
///
/// [`Other`](Self::Other) takes any error, and is right for all that a store does not tell apart:
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
    /// `DATABASE_URL` names no database that this build can use.
    #[error("DATABASE_URL: {0}")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to {database}: {reason}")]
    #[non_exhaustive]
    Connect {
        /// The database, without its password.
        database: String,
        /// What the database or its client library said.
        reason: String,
        /// Whether waiting cannot help: the database answered, and refused.
        permanent: bool,
    },
    /// All connections stayed in use, or new ones failed, until the deadline.
    #[error("no database connection within {waited:?}: {reason}")]
    #[non_exhaustive]
    Pool {
        /// How long the caller waited.
        waited: Duration,
        /// What the pool last met.
        reason: String,
    },
    /// The database failed a moment ago and was not asked again. Nothing was written.
    #[error("the database failed a moment ago: {reason}")]
    Outage {
        /// What it failed with.
        reason: String,
    },
    /// SQLite's one writer was busy until the deadline. Nothing was written.
    #[error("another writer kept the database busy for {waited:?}")]
    Busy {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The store panicked; whether a write was committed is unknown.
    #[error("the store panicked")]
    Panicked,
    /// What was asked for was not done before its deadline, and rolled back.
    #[error("it was not done in time, and undone")]
    TooLate,
    /// The connection broke; whether a write was committed is unknown.
    #[error("the database connection broke: {0}")]
    Broken(#[source] Cause),
    /// Transactions got in each other's way (SQLSTATE 40001, 40P01); nothing was written.
    #[error("the database asked for the transaction to be run again: {0}")]
    Serialization(#[source] Cause),
    /// Another transaction holds what this one needs, for longer than a statement waits (SQLSTATE
    /// 55P03); nothing was written.
    #[error("another transaction holds a lock: {0}")]
    Locked(#[source] Cause),
    /// Another transaction has held the row for longer than an operation waits; nothing was written.
    #[error("another transaction holds the row")]
    Held,
    /// The server takes no writes (SQLSTATE 25006): it is, or has become, a standby. Nothing was
    /// written.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] Cause),
    /// A value breaks a constraint: an id is taken, a user does not exist. Nothing was written.
    #[error("the database refused a value: {0}")]
    Constraint(#[source] Cause),
    /// The database refuses this value or row, and takes others: a text that its encoding lacks, a
    /// value that is too long, a trigger that objects. Nothing was written, and trying again does
    /// not help.
    #[error("the database refused a row: {0}")]
    Refused(#[source] Cause),
    /// The database failed a statement for a reason that the store does not know; it may be one
    /// row's. Nothing was written.
    #[error("the database failed a statement: {0}")]
    Query(#[source] Cause),
    /// The database failed a statement for a reason that concerns every row: it has no time, or
    /// the table, its columns or the rights are not there. Nothing was written, and trying again
    /// later may help.
    #[error("the database failed a statement: {0}")]
    Server(#[source] Cause),
    /// The database has no room for what was to be written, though it may have had room for a row
    /// before it. Nothing was written.
    #[error("the database has no room: {0}")]
    Full(#[source] Cause),
    /// The store failed, and does not say how. It is taken for a failure of the database, after
    /// which it is unknown whether a write was committed.
    #[error("the session store failed: {0}")]
    Other(#[source] Cause),
    /// This server's clock and the database's differ too much for either to decide what has
    /// expired. Nothing was deleted.
    #[error(
        "this server's clock says {ours} and the database's {theirs}: nothing is swept until they \
         agree"
    )]
    ClockSkew {
        /// What this server's clock says.
        ours: DateTime<Utc>,
        /// What the database's clock says.
        theirs: DateTime<Utc>,
    },
    /// A migration could not be run.
    #[error("migration of {database} failed: {reason}")]
    #[non_exhaustive]
    Migration {
        /// The database, without its password.
        database: String,
        /// Which migration, and what the database said.
        reason: String,
    },
    /// A stored row has a value that no session has, such as a hash of the wrong length.
    #[error("row {id} of sessions cannot be read: {reason}")]
    #[non_exhaustive]
    Corrupt {
        /// The row's public handle.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Takes any error for a failure of the database: [`StoreError::Other`].
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

    /// Says that a value breaks a constraint: [`StoreError::Constraint`].
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

    /// Says that a value can never be stored: [`StoreError::Refused`].
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

    /// Says that a connection broke while it was used: [`StoreError::Broken`].
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

    /// Says that the database, shown without its password, cannot be connected to, and that
    /// waiting may help: [`StoreError::Connect`].
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

    /// Says that no connection was free until the deadline: [`StoreError::Pool`].
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

    /// Says that the stored session with this public handle cannot be read:
    /// [`StoreError::Corrupt`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// let error = StoreError::corrupt("tz4a98xxat96iws9zmbrgj3a", "no user id");
    /// assert!(matches!(error, StoreError::Corrupt { .. }));
    /// ```
    pub fn corrupt(id: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            id: id.into(),
            reason: reason.to_string(),
        }
    }
}

impl StoreError {
    /// Returns whether the database reported this for the statement, rather than being at fault
    /// itself: without the row that caused it, the statement may succeed.
    pub(crate) fn is_of_statement(&self) -> bool {
        matches!(
            self,
            Self::Constraint(_)
                | Self::Refused(_)
                | Self::Query(_)
                | Self::Server(_)
                | Self::Full(_)
                | Self::Locked(_)
                | Self::Corrupt { .. }
        )
    }

    /// Returns whether nothing was written when a call failed with this. After a broken connection,
    /// an error that the store does not explain, and a call that came to no end in time, that is not
    /// known.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(
            self,
            Self::Broken(_) | Self::Other(_) | Self::TooLate | Self::Panicked
        )
    }
}
