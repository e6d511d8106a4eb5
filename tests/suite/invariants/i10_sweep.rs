//! I10: the sweep deletes only expired sessions, never blocks requests, goes on after an error, and
//! stops promptly.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{SessionStore, StoreError, StoreOptions, SweepBatch};
use rocket_diesel_sessions::{
    DieselStore, SessionAdmin, SessionConfig, SessionHandle, Sessions, SystemClock,
};

use crate::support::altered;
use crate::support::embedded::{Cart, rocket_with, run};
use crate::support::hooked::HookedStore;
use crate::support::local::application;
use crate::support::sessions::new_session;
use crate::support::sessions::{create_expired, create_live};
use crate::support::{AppPool, Database, Kind, Server, Visitor, metric, wait_until};

/// Sweeps in batches of 400 as a pass does, and returns the handles of the sessions deleted.
fn sweep_with_handles(store: &dyn SessionStore, contended: bool) -> Vec<SessionHandle> {
    let (mut from, mut handles) = (None, Vec::new());
    let mut next = altered(SweepBatch::new(Utc::now(), 400), |batch| {
        (batch.handles, batch.contended) = (true, contended);
    });
    loop {
        next.from = from;
        let swept = store.sweep(&next).unwrap();
        assert!(swept.deleted <= 400 && swept.deleted == swept.handles.len());
        if swept.deleted == 0 {
            return handles;
        }
        from = swept.reached.or(from);
        next.contended = swept.contended;
        handles.extend(swept.handles);
    }
}

/// Runs one pass and returns the number of sessions that it deleted.
fn sweep(store: &dyn SessionStore) -> usize {
    let swept = StoreAdmin::new(store).sweep(Utc::now(), |_| {});
    swept.unwrap().deleted
}

on_each_database! {
    fn i10_a_sweep_deletes_ten_thousand_expired_sessions_and_no_live_one(database: &Database) {
        let store = database.store();
        create_live(&*store, 5_000);
        create_expired(&*store, 10_000);
        create_live(&*store, 5_000);
        assert_eq!(sweep(&*store), 10_000);
        assert_eq!(database.sessions(), 10_000);
        let live = "SELECT count(*) AS n FROM sessions WHERE expires_at > CURRENT_TIMESTAMP";
        assert_eq!(database.number(live), 10_000);
        assert_eq!(sweep(&*store), 0);
    }

    fn i10_a_server_with_a_wrong_clock_sweeps_nothing(database: &Database) {
        create_expired(&*database.store(), 1000);
        for (minutes, swept) in [(-6, false), (6, false), (-4, true)] {
            let clock = Utc::now() + TimeDelta::minutes(minutes);
            let store = HookedStore::with_clock(database.store(), clock);
            // Before the epoch, so that the pass deletes nothing where it is let to.
            let at = DateTime::UNIX_EPOCH;
            let ahead = HookedStore::with_clock(database.store(), at + TimeDelta::minutes(minutes));
            let refused = matches!(
                StoreAdmin::new(&*ahead).sweep(at, |_| {}),
                Err(StoreError::ClockSkew { .. })
            );
            assert_eq!(refused, !swept);
            run(async {
                let set = |sessions: Sessions<Cart>| sessions.clock(Arc::new(SystemClock));
                let (rocket, _) = rocket_with(store, SessionConfig::default(), set);
                let client = Client::untracked(rocket).await.unwrap();
                let admin = client.rocket().state::<SessionAdmin>().unwrap();
                assert_eq!(admin.sweep().await.is_ok(), swept, "{minutes}");
                let failures = metric(admin, "sessions_sweep_failures_total");
                assert_eq!(failures, u64::from(!swept));
            });
        }
        assert_eq!(database.sessions(), 0);
    }

    fn i2_clearing_ends_sessions_created_by_a_server_whose_clock_is_ahead(database: &Database) {
        let store = database.store();
        let mut ahead = new_session(None);
        ahead.now += TimeDelta::minutes(3);
        store.create(&[ahead, new_session(None)]).unwrap();
        create_live(&*store, 3_000);
        let mut sizes = Vec::new();
        StoreAdmin::new(&*store).clear(Utc::now(), |batch| sizes.push(batch.len())).unwrap();
        assert_eq!((sizes.iter().sum::<usize>(), database.sessions()), (3_002, 0));
    }

    fn i10_concurrent_sweeps_share_the_work(database: &Database) {
        let stores = [database.store(), database.store(), database.store()];
        create_live(&*stores[0], 1_000);
        create_expired(&*stores[0], 10_000);
        let deleted: usize = std::thread::scope(|scope| {
            let sweeps = stores
                .each_ref()
                .map(|store| scope.spawn(|| sweep(&**store)));
            sweeps.into_iter().map(|sweep| sweep.join().unwrap()).sum()
        });
        assert_eq!(deleted, 10_000);
        assert_eq!(database.sessions(), 1_000);
    }

    fn i10_each_expired_session_is_reported_once_however_many_expire_at_once(database: &Database) {
        let store = database.store();
        create_live(&*store, 1_000);
        let mut expired: Vec<_> = (0..3_000).map(|_| new_session(None)).collect();
        let moment = Utc::now() - TimeDelta::days(1);
        for (number, session) in (0..).zip(&mut expired) {
            // A third expire one after the other, and the rest in one moment among them.
            let seconds = if number % 3 == 0 { number } else { 1_500 };
            session.expires_at = moment + TimeDelta::seconds(seconds);
        }
        store.create(&expired).unwrap();
        let mut ids: Vec<SessionHandle> = expired.into_iter().map(|new| new.id).collect();
        ids.sort();
        let mut swept = sweep_with_handles(&*store, false);
        swept.sort();
        assert_eq!(swept, ids);
        assert_eq!(database.sessions(), 1_000);
    }

    fn i10_concurrent_sweeps_report_each_session_once(database: &Database) {
        let stores = [database.store(), database.store(), database.store()];
        create_expired(&*stores[0], 10_000);
        let mut swept: Vec<SessionHandle> = std::thread::scope(|scope| {
            let sweeps = stores
                .each_ref()
                .map(|store| scope.spawn(|| sweep_with_handles(&**store, false)));
            sweeps.into_iter().flat_map(|sweep| sweep.join().unwrap()).collect()
        });
        assert_eq!(swept.len(), 10_000);
        swept.sort();
        swept.dedup();
        assert_eq!((swept.len(), database.sessions()), (10_000, 0));
    }

    fn i10_the_background_thread_sweeps_at_its_interval(database: &Database) {
        let (client, clock) = application(database, "cleanup_interval = '1s'");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        clock.advance(TimeDelta::hours(23));
        Visitor::new(&client).visit();
        assert_eq!(database.sessions(), 2);
        clock.advance(TimeDelta::hours(1));
        wait_until("the expired session is swept", || database.sessions() == 1);
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        wait_until("it is counted", || metric(admin, "sessions_swept_total") == 1);
    }

    fn i10_the_sweep_goes_on_after_an_error(database: &Database) {
        let (client, clock) = application(database, "cleanup_interval = '1s'");
        Visitor::new(&client).visit();
        clock.advance(TimeDelta::hours(25));
        database.execute("ALTER TABLE sessions RENAME TO elsewhere");
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        wait_until("a pass fails", || metric(admin, "sessions_sweep_failures_total") >= 1);
        database.execute("ALTER TABLE elsewhere RENAME TO sessions");
        wait_until("a later pass sweeps", || metric(admin, "sessions_swept_total") == 1);
        assert_eq!(database.sessions(), 0);
    }

    fn i10_a_pass_under_way_stops_with_the_server(database: &Database) {
        let store = database.store();
        create_expired(&*store, 100_000);
        if database.kind() == Kind::Postgres {
            // Otherwise it would be over too soon.
            database.execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$; \
                 CREATE TRIGGER slow AFTER DELETE ON sessions EXECUTE FUNCTION slow()",
            );
        }
        let environment = [("ROCKET_SESSIONS", r#"{cleanup_interval="1s"}"#)];
        let server = Server::start_with(database, &environment);
        wait_until("the sweep has begun", || database.sessions() < 100_000);
        assert_eq!(server.client().visit(), 1);
        assert_eq!(server.terminate(), Some(0));
        // Otherwise the pass had ended before it could be stopped.
        assert!(database.sessions() > 1);
    }
}

#[test]
fn i10_handles_cost_no_slow_statement_on_postgresql() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    create_expired(&*store, 2_000);
    for handles in [true, false] {
        let batch = altered(SweepBatch::new(Utc::now(), 900), |batch| {
            batch.handles = handles;
        });
        let swept = store.sweep(&batch).unwrap();
        assert!(!swept.contended);
        assert!((1..=900).contains(&swept.deleted), "{}", swept.deleted);
        assert_eq!(swept.handles.len(), if handles { swept.deleted } else { 0 });
        let reached = swept.reached.unwrap();
        let passed = format!(
            "SELECT count(*) AS n FROM sessions WHERE expires_at < '{}'",
            reached.naive_utc()
        );
        assert_eq!(database.number(&passed), 0);
    }
}

#[test]
fn i10_locked_rows_are_skipped_on_postgresql() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    create_expired(&*store, 3_000);
    let mut holder = database.connection();
    holder.run("BEGIN; SELECT 1 FROM sessions ORDER BY expires_at LIMIT 500 FOR UPDATE");
    // The first batch finds locked rows, and the pass skips them from then on.
    let batch = SweepBatch::new(Utc::now(), 100);
    let swept = store.sweep(&batch).unwrap();
    assert_eq!((swept.deleted, swept.contended), (100, true));
    // This would wait for the lock's holder, which waits for us.
    assert_eq!(sweep(&*store), 2_400);
    holder.run("COMMIT");
    assert_eq!(sweep(&*store), 500);
}

#[test]
fn i10_sessions_that_expired_at_an_infinite_time_are_swept_on_postgresql() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    create_expired(&*store, 1_000);
    create_live(&*store, 1_000);
    let half = "WHERE id IN (SELECT id FROM sessions WHERE expires_at < now() LIMIT 700)";
    database.execute(&format!(
        "UPDATE sessions SET expires_at = '-infinity' {half}"
    ));
    let endless = "SET expires_at = 'infinity', absolute_expires_at = 'infinity'";
    database.execute(&format!(
        "UPDATE sessions {endless} WHERE expires_at > now()"
    ));
    assert_eq!(sweep_with_handles(&*store, false).len(), 1_000);
    assert_eq!(database.sessions(), 1_000);
}

/// On an application's connection, the whole job is one transaction, in which settings stay.
#[test]
fn i10_settings_of_one_statement_do_not_reach_the_next_on_postgresql() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    create_expired(&*database.store(), 3_000);
    let moment = "(SELECT min(expires_at) FROM sessions)";
    database.execute(&format!("UPDATE sessions SET expires_at = {moment}"));
    database.execute(
        "CREATE TABLE seen (setting TEXT); \
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('enable_indexscan')); RETURN NULL; END $$; \
         CREATE TRIGGER see AFTER DELETE ON sessions EXECUTE FUNCTION see()",
    );
    let pool = AppPool::new(&database, 4);
    let store = DieselStore::from_pool(pool.lent(), StoreOptions::default()).unwrap();
    assert_eq!(sweep_with_handles(&store, false).len(), 3_000);
    // A range has too many sessions in its first moment until the last batch. Before that, a
    // statement by place deletes them.
    let count = |setting| format!("SELECT count(*) AS n FROM seen WHERE setting = '{setting}'");
    assert_eq!(database.number(&count("off")), 1);
    assert!(database.number(&count("on")) >= 7);
}
