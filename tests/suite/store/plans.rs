//! The plans that PostgreSQL makes and keeps: no statement of a request or of a sweep reads the whole
//! table.

use chrono::Utc;
use rocket_diesel_sessions::store::{SaveOutcome, SaveSession, SessionStore, SweepBatch};

use crate::support::altered;
use crate::support::sessions::new_session;
use crate::support::sessions::{create_expired, create_live};
use crate::support::{Database, Kind, wait_until};

/// Asks what the server has counted of the table.
fn reported(count: &str) -> String {
    format!("SELECT {count} AS n FROM pg_stat_user_tables WHERE relname = 'sessions'")
}

/// A visitor who is alone has statements whose plans are kept. Those that were made when the table was
/// empty are good when it is full, though nothing has told the server that it is.
#[test]
fn a_plan_for_an_empty_table_is_good_for_a_full_one() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    // Migrations read the table, too. What a connection did is reported when it ends, if not before.
    drop(database.store());
    database.execute("ALTER TABLE sessions SET (autovacuum_enabled = off)");
    let store = database.store();
    let session = new_session(None);
    store.create(std::slice::from_ref(&session)).unwrap();
    let count = |versions: std::ops::Range<i64>| {
        for version in versions {
            let found = store.load(&[session.session_id]).unwrap();
            assert_eq!(found.len(), 1);
            let save = SaveSession::new(session.session_id, version, "{}", Utc::now());
            assert_eq!(store.save(&[save]).unwrap(), [SaveOutcome::Saved]);
        }
    };
    // After five plans for the very values, the server makes one to keep.
    count(0..10);
    create_live(&*store, 20_000);
    count(10..20);
    drop(store);
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_upd")) == 20
    });
    assert_eq!(database.number(&reported("seq_tup_read")), 0);
    assert!(database.number(&reported("idx_scan")) >= 40);
}

/// A sweep among held rows reads the index, whichever plan PostgreSQL takes: a generic one does not
/// know how few rows a batch is.
#[test]
fn i10_a_sweep_never_reads_the_whole_table() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    database.execute_on_server(&format!(
        "ALTER DATABASE {name} SET plan_cache_mode = force_generic_plan"
    ));
    let store = database.store();
    create_live(&*store, 20_000);
    create_expired(&*store, 4_000);
    database.execute("ANALYZE sessions");
    let before = database.number(&reported("seq_scan"));
    for (contended, handles) in [(false, false), (false, true), (true, false), (true, true)] {
        let batch = altered(SweepBatch::new(Utc::now(), 1000), |batch| {
            (batch.handles, batch.contended) = (handles, contended);
        });
        let swept = store.sweep(&batch);
        assert_eq!(swept.unwrap().deleted, 1000);
    }
    drop(store);
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_del")) == 4_000
    });
    assert_eq!(database.number(&reported("seq_scan")), before);
}
