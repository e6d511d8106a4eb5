//! PostgreSQL's cached plans: no statement of a request or a sweep reads the whole table.

use chrono::{TimeDelta, Utc};
use rocket_diesel_sessions::store::{
    NewSession, RotateSession, SaveOutcome, SaveSession, ScanSessions, SessionHandle, SessionOrder,
    SessionPlace, SessionRecord, SessionScope, SessionStore, StatsStore, SweepBatch, TouchSession,
};
use uuid::Uuid;

use crate::support::altered;
use crate::support::sessions::new_session;
use crate::support::sessions::{create_expired, create_live};
use crate::support::{Database, Kind, wait_until};

/// Returns a query for the server's statistics of the table.
fn reported(count: &str) -> String {
    format!("SELECT {count} AS n FROM pg_stat_user_tables WHERE relname = 'sessions'")
}

/// The statements of requests have cached plans, for one session and for batches. Plans made for an
/// empty table must be good for a full one, although the server does not know that it is full.
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
    let mut updated = 0;
    let mut run = |size: usize| {
        let made: Vec<NewSession> = (0..size).map(|_| new_session(None)).collect();
        store.create(&made).unwrap();
        let ids: Vec<Uuid> = made.iter().map(|new| new.session_id).collect();
        let found = store.load(&ids).unwrap();
        assert_eq!(found.len(), size);
        // Half of the rows are named by their handles too.
        let mut known = 0;
        let mut id = |id: &SessionHandle| {
            known += 1;
            (known % 2 == 0).then(|| id.clone())
        };
        let save = |of: &SessionRecord| {
            let save = SaveSession::new(of.session_id, of.version, "{}", Utc::now());
            altered(save, |save| save.id = id(&of.id))
        };
        let saves: Vec<SaveSession> = found.iter().map(save).collect();
        assert_eq!(store.save(&saves).unwrap(), vec![SaveOutcome::Saved; size]);
        let touch = |id: &Uuid| TouchSession::new(*id, Utc::now());
        let touches: Vec<TouchSession> = ids.iter().map(touch).collect();
        assert_eq!(store.touch(&touches).unwrap(), size);
        let rotate = |new: &NewSession| RotateSession {
            session_id: new.session_id,
            new_session_id: Uuid::now_v7(),
            new_token_hash: new.token_hash,
            now: Utc::now(),
        };
        let rotations: Vec<RotateSession> = made.iter().map(rotate).collect();
        assert_eq!(store.rotate(&rotations).unwrap(), vec![true; size]);
        let handles: Vec<SessionHandle> = made.into_iter().map(|new| new.id).collect();
        assert_eq!(store.find_live(&handles, Utc::now()).unwrap().len(), size);
        assert_eq!(store.delete(&handles).unwrap().len(), size);
        updated += 3 * size;
    };
    // After five custom plans, the server makes a generic one.
    for size in [1, 2, 3, 24].repeat(8) {
        run(size);
    }
    create_live(&*store, 100_000);
    for size in [1, 2, 3, 24].repeat(3) {
        run(size);
    }
    drop(store);
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_upd")) == i64::try_from(updated).unwrap()
    });
    assert_eq!(database.number(&reported("seq_tup_read")), 0);
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

/// That there are many sessions, and when they expire, is asked of an index without reading them.
#[test]
fn many_sessions_are_not_read_to_learn_that_they_are_many() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    create_live(&*store, 20_000);
    database.execute("VACUUM ANALYZE sessions");
    drop(store);
    let store = database.store();
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_ins")) == 20_000
    });
    let read = "coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)";
    let before = database.number(&reported(read));
    let now = Utc::now();
    assert_eq!(store.census(now, Some(10_000)).unwrap(), None);
    assert_eq!(store.next_expiries(now, 5_001).unwrap().len(), 5_001);
    store.create(&[new_session(None)]).unwrap();
    drop(store);
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_ins")) == 20_001
    });
    let fetched = database.number(&reported(read)) - before;
    assert!(fetched < 1_000, "{fetched} rows");
}

/// Operators look through sessions by an index, whatever their scope and order, with the plan that
/// knows least.
#[test]
fn looking_through_sessions_never_reads_the_whole_table() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    database.execute_on_server(&format!(
        "ALTER DATABASE {name} SET plan_cache_mode = force_generic_plan"
    ));
    let store = database.store();
    database.add_users(&["ada"]);
    create_live(&*store, 20_000);
    database.execute("UPDATE sessions SET ip = '192.0.2.' || length(data) % 5");
    database.execute("ANALYZE sessions");
    let read = "coalesce(seq_scan, 0) + 0";
    drop(store);
    let store = database.store();
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_upd")) == 20_000
    });
    let before = database.number(&reported(read));
    let scopes = [
        SessionScope::All,
        SessionScope::User("ada".into()),
        SessionScope::Address("192.0.2.2".parse().unwrap()),
        SessionScope::HandlePrefix("abc".to_owned()),
    ];
    let orders = [SessionOrder::NewestFirst, SessionOrder::ExpiringFirst];
    for (scope, order, is_backwards, is_first) in scopes
        .into_iter()
        .flat_map(|scope| orders.map(|order| (scope.clone(), order)))
        .flat_map(|(scope, order)| [false, true].map(|back| (scope.clone(), order, back)))
        .flat_map(|(scope, order, back)| {
            [false, true].map(|first| (scope.clone(), order, back, first))
        })
    {
        let scan = altered(ScanSessions::new(Utc::now(), 100), |scan| {
            let place = SessionPlace::new(Uuid::now_v7(), Utc::now() + TimeDelta::hours(1));
            scan.after = (!is_first).then_some(place);
            (scan.scope, scan.order, scan.is_backwards) = (scope, order, is_backwards);
        });
        store.scan(&scan).unwrap();
    }
    store.create(&[new_session(None)]).unwrap();
    drop(store);
    wait_until("the server has reported", || {
        database.number(&reported("n_tup_ins")) == 20_001
    });
    assert_eq!(database.number(&reported(read)), before);
}
