//! Connections that the server has closed, and prepared statements that no longer fit their table.
//! The first call afterwards succeeds, whether it reads or writes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Barrier;

use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{
    SaveOutcome, SaveSession, SessionStore, StoreError, StoreOptions, TouchSession, UserStore,
    WriteBatch,
};

use crate::support::altered;
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, wait_until};

#[test]
fn i6_the_first_write_succeeds_after_idle_connections_were_closed() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    let others = format!(
        "FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        database.name()
    );
    for _ in 0..3 {
        let barrier = Barrier::new(20);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    barrier.wait();
                    store.create(&[new_session(None)]).unwrap();
                });
            }
        });
        // Including those that are still being made.
        let mut ended = HashSet::new();
        wait_until("the connections are closed", || {
            ended.extend(database.backends());
            database.execute(&format!("SELECT pg_terminate_backend(pid) {others}"));
            database.backends().is_empty()
        });
        // The end of a process closes its side of the socket.
        wait_until("their processes have ended", || {
            let is_there = |pid: &i32| Path::new(&format!("/proc/{pid}")).exists();
            !ended.iter().any(is_there)
        });
    }
    store.create(&[new_session(None)]).unwrap();
    assert_eq!(database.sessions(), 61);
}

#[test]
fn i6_existing_sessions_are_served_after_a_columns_type_changed() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    database.add_users(&["ada"]);
    let session = new_session(None);
    store.create(std::slice::from_ref(&session)).unwrap();
    let write = |version| {
        let saves = [SaveSession::new(
            session.session_id,
            version,
            "{}",
            session.now,
        )];
        let touch = TouchSession::new(session.session_id, session.now);
        let touches = [altered(touch, |touch| {
            touch.expires_at = session.expires_at;
            touch.user_agent = Some("agent".to_owned());
        })];
        let batch = WriteBatch::new(&[], &saves, &touches);
        store.write(&batch).unwrap()
    };
    let changes = [
        "SELECT 1",
        "ALTER TABLE sessions ALTER COLUMN user_agent TYPE varchar(600)",
        "ALTER TABLE users ALTER COLUMN username TYPE varchar(100)",
        "ALTER TABLE sessions ALTER COLUMN session_id TYPE varchar(40)",
        "ALTER TABLE sessions ALTER COLUMN version TYPE bigint, ADD COLUMN more text",
    ];
    for (version, change) in (0..).zip(changes) {
        database.execute(change);
        assert_eq!(write(version).saved, [SaveOutcome::Saved], "{change}");
        assert_eq!(
            store.load(&[session.session_id]).unwrap().len(),
            1,
            "{change}"
        );
        assert!(store.find(&session.id).unwrap().is_some(), "{change}");
        assert!(store.user_by_name("ada").unwrap().is_some(), "{change}");
    }
}

/// A failure of an unknown kind may be that of a stale statement, so the write runs once more.
#[test]
fn i1_a_write_that_is_repeated_and_then_breaks_is_in_doubt() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let url = database.direct_url().parse().unwrap();
    let store = DieselStore::open(&url, StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let session = new_session(None);
    store.create(std::slice::from_ref(&session)).unwrap();
    database.execute(
        "CREATE SEQUENCE runs; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('runs') = 1 THEN RAISE 'of an unknown kind'; END IF; \
         PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let save = SaveSession::new(session.session_id, 0, "{}", session.now);
    let written = store.write(&WriteBatch::new(&[], &[save], &[]));
    assert!(matches!(written, Err(StoreError::Broken(_))), "{written:?}");
    assert_eq!(database.number("SELECT last_value AS n FROM runs"), 2);
}
