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

impl StoreError {
    /// Returns whether the server has no room for what was to be written, though it may have had room for
    /// a row before it.
    pub(crate) fn is_of_space(&self) -> bool {
        self.says_any(&["no space left", "disk", "out of memory"])
    }

    /// Returns whether a statement failed for a reason that concerns every row: the server has no room
    /// or no time, or the table, its columns or the rights are not there. Diesel hands on neither the
    /// SQLSTATE nor SQLite's code, so the text shows it.
    pub(crate) fn is_of_server(&self) -> bool {
        const TEXTS: [&str; 18] = [
            "no space left",
            "disk",
            "could not ",
            "out of memory",
            "out of shared memory",
            "too many",
            "canceling ",
            "terminating ",
            "shutting down",
            "starting up",
            "recovery",
            "does not exist",
            "no such table",
            "no such column",
            "permission denied",
            "must be owner",
            "readonly",
            "cached plan",
        ];
        !matches!(self, Self::Query(DieselError::DatabaseError(..))) || self.says_any(&TEXTS)
    }

    fn says_any(&self, texts: &[&str]) -> bool {
        let Self::Query(DieselError::DatabaseError(_, information)) = self else {
            return false;
        };
        let message = information.message().to_lowercase();
        texts.iter().any(|text| message.contains(text))
    }

    /// Returns whether the server ended the connection instead of running the statement (SQLSTATE
    /// 57P01): nothing was written.
    pub(super) fn is_termination(&self) -> bool {
        matches!(self, Self::Broken(DieselError::DatabaseError(_, information))
            if information.message().starts_with("terminating connection"))
    }

    /// Returns whether a prepared statement no longer fits its table, whose columns were changed
    /// (SQLSTATE 0A000). The statement was not run.
    pub(super) fn is_stale_statement(&self) -> bool {
        matches!(self, Self::Query(DieselError::DatabaseError(_, information))
            if information.message() == "cached plan must not change result type")
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind as Kind;
        match &error {
            DieselError::DatabaseError(kind, information) => match kind {
                Kind::ClosedConnection | Kind::UnableToSendCommand => Self::Broken(error),
                Kind::SerializationFailure => Self::Serialization(error),
                Kind::ReadOnlyTransaction => Self::ReadOnly(error),
                Kind::UniqueViolation
                | Kind::ForeignKeyViolation
                | Kind::NotNullViolation
                | Kind::CheckViolation
                | Kind::RestrictViolation
                | Kind::ExclusionViolation => Self::Constraint(error),
                _ => match information.message() {
                    // Diesel has no kinds of their own for 40P01 and 55P03.
                    "deadlock detected" => Self::Serialization(error),
                    message if is_lock_not_available(message) => Self::Locked(error),
                    message if is_sqlite_busy(message) => Self::Busy {
                        waited: Duration::ZERO,
                    },
                    message if is_of_value(message) => Self::Refused(error),
                    _ => Self::Query(error),
                },
            },
            DieselError::BrokenTransactionManager | DieselError::RollbackErrorOnCommit { .. } => {
                Self::Broken(error)
            }
            DieselError::InvalidCString(_)
            | DieselError::SerializationError(_)
            | DieselError::DeserializationError(_)
            | DieselError::IntegerConversion(_) => Self::Refused(error),
            _ => Self::Query(error),
        }
    }
}

/// Another process has the file. SQLite says the same after its busy timeout, and at once where the
/// wait would be in vain.
fn is_sqlite_busy(message: &str) -> bool {
    message == "database is locked" || message.starts_with("database table is locked")
}

/// Returns whether a database refuses a value that it will never take. Diesel hands on neither the
/// SQLSTATE nor SQLite's code, so the text shows it; an unknown one is taken for a failure that passes.
fn is_of_value(message: &str) -> bool {
    const TEXTS: [&str; 22] = [
        // PostgreSQL: 22021, 22P05, 22P02, 22P03.
        "invalid byte sequence for encoding",
        "has no equivalent in encoding",
        "unsupported Unicode escape sequence",
        "invalid input syntax for type",
        "invalid input value for enum",
        "incorrect binary data format",
        "insufficient data left in message",
        // 22001, 22003, 22008.
        "value too long for type",
        "out of range",
        "numeric field overflow",
        // 54000 and its kin.
        "index row size",
        "index row requires",
        "row is too big",
        "invalid memory alloc request size",
        "string is too long",
        "array size exceeds the maximum allowed",
        // 42804: a column of another type.
        "but expression is of type",
        // Row-level security and domains.
        "violates row-level security policy",
        "violates check constraint",
        // SQLite.
        "string or blob too big",
        "datatype mismatch",
        "cannot store ",
    ];
    TEXTS.iter().any(|text| message.contains(text))
}

fn is_lock_not_available(message: &str) -> bool {
    message == "canceling statement due to lock timeout"
        || message.starts_with("could not obtain lock on ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> StoreError {
        let information = Box::new(message.to_owned());
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, information).into()
    }

    #[test]
    fn i12_a_value_that_can_never_be_stored_is_refused_by_its_message() {
        for message in [
            "invalid byte sequence for encoding \"UTF8\": 0x00",
            "character with byte sequence 0xe6 0x97 0xa5 in encoding \"UTF8\" has no equivalent in \
             encoding \"LATIN1\"",
            "value too long for type character varying(600)",
            "index row size 2712 exceeds btree version 4 maximum 2704 for index \"sessions_ip\"",
            "timestamp out of range",
            "row is too big: size 8168, maximum size 8160",
            "string or blob too big",
            "datatype mismatch",
        ] {
            assert!(matches!(of(message), StoreError::Refused(_)), "{message}");
        }
    }

    #[test]
    fn what_passes_or_is_unknown_is_not_refused() {
        for message in [
            "canceling statement due to statement timeout",
            "could not extend file \"base/5/16384\": No space left on device",
            "permission denied for table sessions",
            "cached plan must not change result type",
            "disk I/O error",
        ] {
            assert!(matches!(of(message), StoreError::Query(_)), "{message}");
        }
        assert!(of("could not extend file: No space left on device").is_of_space());
        assert!(!of("permission denied for table sessions").is_of_space());
        let busy = of("database is locked");
        assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
        let locked = of("canceling statement due to lock timeout");
        assert!(matches!(locked, StoreError::Locked(_)), "{locked}");
        let deadlock = of("deadlock detected");
        assert!(
            matches!(deadlock, StoreError::Serialization(_)),
            "{deadlock}"
        );
    }

    #[test]
    fn what_cannot_be_encoded_or_decoded_is_refused() {
        let undecodable = DieselError::DeserializationError("not a time".into());
        assert!(matches!(undecodable.into(), StoreError::Refused(_)));
        let unencodable = DieselError::SerializationError("a year of six digits".into());
        assert!(matches!(unencodable.into(), StoreError::Refused(_)));
    }
}
