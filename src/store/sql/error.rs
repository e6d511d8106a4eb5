//! Classifies Diesel's errors as [`StoreError`]s.
//!
//! Diesel reports neither the SQLSTATE nor SQLite's error code, so most classes are recognized by
//! the message.

#[cfg(test)]
mod tests;

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::Cause;
use crate::store::StoreError;

/// The error of a job on a connection. It becomes a [`StoreError`] outside this folder, because no
/// type of Diesel is public.
#[derive(Debug)]
pub(in crate::store) enum SqlError {
    /// An error of Diesel or the database.
    Diesel(DieselError),
    /// An error of the store itself.
    Store(StoreError),
}

impl From<DieselError> for SqlError {
    fn from(error: DieselError) -> Self {
        Self::Diesel(error)
    }
}

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Diesel(error) => classify(error),
            SqlError::Store(error) => error,
        }
    }
}

/// Classifies an error. `Cause` keeps Diesel's error.
fn classify(error: DieselError) -> StoreError {
    use DatabaseErrorKind as Kind;
    let class = match &error {
        DieselError::DatabaseError(kind, information) => match kind {
            Kind::ClosedConnection if is_away(information.message()) => StoreError::Partial,
            Kind::ClosedConnection | Kind::UnableToSendCommand => StoreError::Broken,
            Kind::SerializationFailure => StoreError::Serialization,
            Kind::ReadOnlyTransaction => StoreError::ReadOnly,
            Kind::UniqueViolation
            | Kind::ForeignKeyViolation
            | Kind::NotNullViolation
            | Kind::CheckViolation
            | Kind::RestrictViolation
            | Kind::ExclusionViolation => StoreError::Constraint,
            _ if is_sqlite_busy(information.message()) => {
                let waited = Duration::ZERO;
                return StoreError::Busy { waited };
            }
            _ => by_message(information.message()),
        },
        DieselError::BrokenTransactionManager | DieselError::RollbackErrorOnCommit { .. } => {
            StoreError::Broken
        }
        DieselError::InvalidCString(_)
        | DieselError::SerializationError(_)
        | DieselError::DeserializationError(_)
        | DieselError::IntegerConversion(_) => StoreError::Refused,
        _ => StoreError::Server,
    };
    class(Cause::new(error))
}

/// Converts the error of a commit on several nodes. Some may have committed.
#[cfg(feature = "postgres")]
pub(super) fn of_distributed_commit(error: DieselError) -> SqlError {
    let error = classify(error);
    let is_termination = is_termination(&error);
    match error {
        // A node may have committed before the connection was closed, so this is not
        // [`is_termination`], after which a job runs again.
        StoreError::Broken(cause) if is_termination => {
            StoreError::Broken(Cause::new(format!("the commit was cut off: {cause}")))
        }
        StoreError::Query(cause)
        | StoreError::Server(cause)
        | StoreError::Full(cause)
        | StoreError::Refused(cause)
        | StoreError::Constraint(cause)
        | StoreError::Locked(cause)
        | StoreError::Partial(cause) => StoreError::Uncertain(cause),
        error => error,
    }
    .into()
}

/// Classifies an error for which Diesel has no kind.
fn by_message(message: &str) -> fn(Cause) -> StoreError {
    match message {
        // SQLSTATE 40P01, of Citus between nodes too, and 55P03.
        "deadlock detected" => StoreError::Serialization,
        message if message.starts_with(DISTRIBUTED_DEADLOCK) => StoreError::Serialization,
        // SQLSTATE 40003 of CockroachDB: it may have committed.
        message if message.starts_with("result is ambiguous") => StoreError::Broken,
        message if is_lock_not_available(message) => StoreError::Locked,
        message if is_of_constraint(message) => StoreError::Constraint,
        message if is_away(message) => StoreError::Partial,
        message if is_of_value(message) => StoreError::Refused,
        message if is_of_space(message) => StoreError::Full,
        message if is_of_server(message) => StoreError::Server,
        _ => StoreError::Query,
    }
}

/// Citus ends one of two statements that wait for each other on different nodes.
const DISTRIBUTED_DEADLOCK: &str =
    "canceling the transaction since it was involved in a distributed deadlock";

/// Returns whether Citus could not connect to a node of the cluster (SQLSTATE 08006), so that the
/// statement was not sent there, and was rolled back elsewhere. If an existing connection to a node
/// broke, it is unknown what was committed.
fn is_away(message: &str) -> bool {
    let Some(cause) = message.strip_prefix("connection to the remote node ") else {
        return message.starts_with("could not establish any connections to the node ")
            || message.starts_with("failure on connection marked as essential");
    };
    let texts = [
        // libpq says so of each failure to connect.
        "is the server running on that host",
        "timeout expired",
        "could not translate host name",
        "the database system is ",
        "too many clients",
        "connection slots are reserved",
    ];
    says_any(cause, &texts)
}

/// Returns whether the server closed the connection instead of running the statement (SQLSTATE
/// 57P01). Nothing was written.
pub(super) fn is_termination(error: &StoreError) -> bool {
    matches!(error, StoreError::Broken(cause)
        if cause.to_string().starts_with("terminating connection"))
}

/// Returns whether a prepared statement no longer fits its table because columns were changed
/// (SQLSTATE 0A000). The statement was not run.
pub(super) fn is_stale_statement(error: &StoreError) -> bool {
    matches!(error, StoreError::Server(cause)
        if cause.to_string() == "cached plan must not change result type")
}

/// Returns whether an error has no specific class, which may be because its message is in another
/// language.
pub(super) fn is_unclassified(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Query(_) | StoreError::Server(_) | StoreError::Full(_)
    )
}

/// Returns whether another process has locked the file. SQLite returns this message after its busy
/// timeout, and at once if waiting would be useless.
fn is_sqlite_busy(message: &str) -> bool {
    message == "database is locked" || message.starts_with("database table is locked")
}

/// Returns whether a node of Citus reports a violation that Diesel does not recognize, because its
/// SQLSTATE is lost on the way (XX000).
fn is_of_constraint(message: &str) -> bool {
    [
        "violates unique constraint",
        "violates foreign key constraint",
        "violates not-null constraint",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// Returns whether the database refuses a value that it will never accept. An unknown message
/// counts as a temporary failure.
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
        // 54000 and similar.
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

/// Returns whether the server has no space for the write, although it may have had space for an
/// earlier row.
fn is_of_space(message: &str) -> bool {
    says_any(message, &["no space left", "disk", "out of memory"])
}

/// Returns whether the failure concerns every row: the statement timed out, or the table, its
/// columns or the rights to it are missing.
fn is_of_server(message: &str) -> bool {
    const TEXTS: [&str; 15] = [
        "could not ",
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
    says_any(message, &TEXTS)
}

fn says_any(message: &str, texts: &[&str]) -> bool {
    let message = message.to_lowercase();
    texts.iter().any(|text| message.contains(text))
}

#[cfg(feature = "postgres")]
/// Returns whether a statement waited too long for a lock (SQLSTATE 55P03).
pub(super) fn is_lock_timeout(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, information)
        if is_lock_not_available(information.message()))
}

fn is_lock_not_available(message: &str) -> bool {
    message == "canceling statement due to lock timeout"
        || message.starts_with("could not obtain lock on ")
}
