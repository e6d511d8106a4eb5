//! Classifies Diesel's errors as [`StoreError`]s.
//!
//! Diesel reports neither the SQLSTATE nor SQLite's error code, so most classes are recognized by
//! the message.

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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> StoreError {
        let information = Box::new(message.to_owned());
        SqlError::from(DieselError::DatabaseError(
            DatabaseErrorKind::Unknown,
            information,
        ))
        .into()
    }

    #[test]
    fn i12_a_value_that_can_never_be_stored_is_recognized_by_the_message() {
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
    fn temporary_and_unknown_failures_do_not_refuse_the_row() {
        for message in [
            "canceling statement due to statement timeout",
            "permission denied for table sessions",
            "cached plan must not change result type",
            "relation \"sessions\" does not exist",
        ] {
            assert!(matches!(of(message), StoreError::Server(_)), "{message}");
        }
        for message in [
            "could not extend file \"base/5/16384\": No space left on device",
            "disk I/O error",
            "database or disk is full",
        ] {
            assert!(matches!(of(message), StoreError::Full(_)), "{message}");
        }
        let unknown = of("der Wert passt nicht");
        assert!(matches!(unknown, StoreError::Query(_)), "{unknown}");
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

    #[cfg(feature = "postgres")]
    #[test]
    fn a_node_that_cannot_be_reached_does_not_fail_the_whole_database() {
        let of_node = |message: &str| {
            let information = Box::new(message.to_owned());
            let kind = DatabaseErrorKind::ClosedConnection;
            classify(DieselError::DatabaseError(kind, information))
        };
        for message in [
            "connection to the remote node app@10.0.0.2:5432 failed with the following error: \
             Connection refused\n\tIs the server running on that host and accepting TCP/IP \
             connections?",
            "connection to the remote node app@10.0.0.2:5432 failed with the following error: \
             FATAL:  the database system is starting up",
            "could not establish any connections to the node 10.0.0.2:5432 after 5000 ms",
            "failure on connection marked as essential: 10.0.0.2:5432",
        ] {
            assert!(
                matches!(of_node(message), StoreError::Partial(_)),
                "{message}"
            );
        }
        for message in [
            "connection to the remote node app@10.0.0.2:5432 failed with the following error: \
             server closed the connection unexpectedly",
            "server closed the connection unexpectedly",
        ] {
            assert!(
                matches!(of_node(message), StoreError::Broken(_)),
                "{message}"
            );
        }
        let deadlock = of(DISTRIBUTED_DEADLOCK);
        assert!(
            matches!(deadlock, StoreError::Serialization(_)),
            "{deadlock}"
        );
        let message = "could not commit transaction for shard 102017 on at least one active node";
        let information = Box::new(message.to_owned());
        let half = DieselError::DatabaseError(DatabaseErrorKind::Unknown, information);
        let half = StoreError::from(of_distributed_commit(half));
        assert!(matches!(half, StoreError::Uncertain(_)), "{half}");
        assert!(!half.is_certain() && !half.is_of_statement());
        let message = "terminating connection due to administrator command";
        let information = Box::new(message.to_owned());
        let ended = DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, information);
        let ended = StoreError::from(of_distributed_commit(ended));
        assert!(matches!(ended, StoreError::Broken(_)), "{ended}");
        assert!(!is_termination(&ended) && !ended.is_certain());
        let ambiguous = of("result is ambiguous: error=rpc error");
        assert!(matches!(ambiguous, StoreError::Broken(_)), "{ambiguous}");
    }

    #[test]
    fn the_error_of_diesel_is_kept_as_the_cause() {
        let error = of("permission denied for table sessions");
        assert_eq!(
            error.to_string(),
            "the database failed a statement: permission denied for table sessions"
        );
        let StoreError::Server(cause) = &error else {
            panic!("{error:?}");
        };
        assert!(cause.downcast_ref::<DieselError>().is_some());
        assert!(is_stale_statement(&of(
            "cached plan must not change result type"
        )));
    }

    #[test]
    fn values_that_cannot_be_encoded_or_decoded_are_refused() {
        let undecodable = DieselError::DeserializationError("not a time".into());
        assert!(matches!(classify(undecodable), StoreError::Refused(_)));
        let unencodable = DieselError::SerializationError("a year of six digits".into());
        assert!(matches!(classify(unencodable), StoreError::Refused(_)));
    }
}
