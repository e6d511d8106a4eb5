//! PostgreSQL's cached plans: no statement of a request or a sweep reads the whole table.

use chrono::Utc;
use rocket_diesel_sessions::store::{SaveOutcome, SaveSession, SessionStore, SweepBatch};

use crate::support::altered;
use crate::support::sessions::new_session;
use crate::support::sessions::{create_expired, create_live};
use crate::support::{Database, Kind, wait_until};

/// Returns a query for the server's statistics of the table.
fn reported(count: &str) -> String {
    format!("SELECT {count} AS n FROM pg_stat_user_tables WHERE relname = 'sessions'")
}

/// A single visitor's statements have cached plans. Plans made for an empty table must be good for
/// a full one, although the server does not know that it is full.
#[test]
fn a_plan_for_an_empty_table_is_good_for_a_full_one() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    // Migrations read the table too. A connection's statistics are reported at the latest when it
    // closes.
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
    // After five custom plans, the server makes a generic one.
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

/// A sweep that skips locked rows reads the index, whichever plan PostgreSQL chooses. A generic
/// plan does not know how few rows a batch has.
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
