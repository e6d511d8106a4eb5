//! What can go wrong below the session layer. Absent, expired and refused are values, not errors.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use thiserror::Error;

/// Why a store could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `DATABASE_URL` names no database that this build can use.
    #[error("DATABASE_URL: {0}")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to {database}: {reason}")]
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
    Broken(#[source] DieselError),
    /// Transactions got in each other's way (SQLSTATE 40001, 40P01); nothing was written.
    #[error("the database asked for the transaction to be run again: {0}")]
    Serialization(#[source] DieselError),
    /// Another transaction holds what this one needs, for longer than a statement waits (SQLSTATE
    /// 55P03); nothing was written.
    #[error("another transaction holds a lock: {0}")]
    Locked(#[source] DieselError),
    /// Another transaction has held the row for longer than an operation waits; nothing was written.
    #[error("another transaction holds the row")]
    Held,
    /// The server takes no writes (SQLSTATE 25006): it is, or has become, a standby. Nothing was
    /// written.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] DieselError),
    /// A value breaks a constraint: an id is taken, a user does not exist. Nothing was written.
    #[error("the database refused a value: {0}")]
    Constraint(#[source] DieselError),
    /// The database refuses this value or row, and takes others: a text that its encoding lacks, a
    /// value that is too long, a trigger that objects. Nothing was written, and trying again does
    /// not help.
    #[error("the database refused a row: {0}")]
    Refused(#[source] DieselError),
    /// The database refused or failed a statement.
    #[error("the database failed a statement: {0}")]
    Query(#[source] DieselError),
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
    Migration {
        /// The database, without its password.
        database: String,
        /// Which migration, and what the database said.
        reason: String,
    },
    /// A stored row has a value that no session has, such as a hash of the wrong length.
    #[error("row {id} of sessions cannot be read: {reason}")]
    Corrupt {
        /// The row's public handle.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
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
                | Self::Locked(_)
                | Self::Corrupt { .. }
        )
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | DieselError::BrokenTransactionManager
            | DieselError::RollbackErrorOnCommit { .. } => Self::Broken(error),
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => {
                Self::Serialization(error)
            }
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => {
                Self::ReadOnly(error)
            }
            // Diesel has no kinds of their own for 40P01 and 55P03.
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, information)
                if information.message() == "deadlock detected" =>
            {
                Self::Serialization(error)
            }
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, information)
                if is_lock_not_available(information.message()) =>
            {
                Self::Locked(error)
            }
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation,
                _,
            ) => Self::Constraint(error),
            _ => Self::Query(error),
        }
    }
}

fn is_lock_not_available(message: &str) -> bool {
    message == "canceling statement due to lock timeout"
        || message.starts_with("could not obtain lock on ")
}
