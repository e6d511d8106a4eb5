//! Tests of how failures are classified.

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
