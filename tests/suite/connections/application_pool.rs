//! Sessions on the application's own pool.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rocket::error::ErrorKind;
use rocket::futures::future::join_all;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::store::{SessionStore, StoreError, StoreOptions, UserStore};
use rocket_diesel_sessions::testing::conformance;
use rocket_diesel_sessions::{DieselStore, SessionConfig, Sessions};

use crate::support::embedded::{Cart, Gate, get, new_cookie, rocket_with, run};
use crate::support::memory::MemoryStore;
use crate::support::sessions::new_session;
use crate::support::{AppPool, Database, Kind};

fn store(pool: &AppPool) -> DieselStore {
    DieselStore::from_pool(pool.lent(), StoreOptions::default()).unwrap()
}

/// Returns the embedded application on the pool. Its own store is never used.
async fn application(pool: &AppPool, config: SessionConfig) -> Client {
    let set = |sessions: Sessions<Cart>| sessions.pool(pool.lent());
    let (rocket, _) = rocket_with(Arc::new(MemoryStore::default()), config, set);
    Client::untracked(rocket).await.unwrap()
}

on_each_database! {
    fn a_store_on_the_applications_pool_conforms(database: &Database) {
        let pool = AppPool::new(database, 10);
        let store = store(&pool);
        assert!(!store.migrate().unwrap().is_empty());
        assert_eq!(store.pending_migrations().unwrap(), [""; 0]);
        conformance::run(&store).unwrap();
        database.add_users(&["ada", "bob"]);
        conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
        assert_eq!(store.list_users(None, 3).unwrap().len(), 2);
        assert!(matches!(
            store.create(&[new_session(Some("nobody"))]),
            Err(StoreError::Constraint(_))
        ));
    }

    fn connections_are_returned_with_the_applications_settings(database: &Database) {
        let pool = AppPool::new(database, 10);
        let before = pool.settings();
        assert_eq!(before.len(), 10);
        let store = store(&pool);
        store.migrate().unwrap();
        conformance::run(&store).unwrap();
        database.add_users(&["ada", "bob"]);
        conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
        // A failure must leave no trace either.
        store.create(&[new_session(Some("nobody"))]).unwrap_err();
        assert_eq!(pool.in_use(), 0);
        assert_eq!(pool.settings(), before);
    }

    fn i1_concurrent_updates_on_the_applications_pool_are_all_applied_once(database: &Database) {
        run(async {
            let pool = AppPool::new(database, 10);
            let client = &application(&pool, SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let counts = (0..200).map(|_| async move {
                let answer = get(client, "/count", Some(cookie)).await;
                assert_eq!(answer.status, Status::Ok);
                answer.body.parse::<u64>().unwrap()
            });
            let counts: BTreeSet<u64> = join_all(counts).await.into_iter().collect();
            assert_eq!(counts, (2..=201).collect());
            assert_eq!(database.sessions(), 1);
        });
    }

    fn i2_sessions_ended_on_the_applications_pool_stay_ended(database: &Database) {
        run(async {
            let pool = AppPool::new(database, 10);
            let client = &application(&pool, SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            for (path, ending) in [("/slow/count", "/destroy"), ("/slow/set", "/logout"),
                ("/slow/count", "/rotate")]
            {
                let cookie = &new_cookie(client).await;
                let slow = get(client, path, Some(cookie));
                let ended = async {
                    gate.arrival().await;
                    let answer = get(client, ending, Some(cookie)).await;
                    gate.open();
                    answer
                };
                let (slow, ended) = rocket::tokio::join!(slow, ended);
                assert_eq!((slow.status, ended.status), (Status::Conflict, Status::Ok), "{ending}");
                assert_eq!(slow.header("set-cookie"), None);
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
            }
            assert_eq!(database.sessions(), 1);
        });
    }

    fn i12_a_pool_that_is_too_small_is_refused_at_launch(database: &Database) {
        let mut config = SessionConfig::default();
        config.workers = 3;
        let small = AppPool::new(database, 8);
        let error = config.open_pool(small.lent()).unwrap_err().to_string();
        assert!(error.contains("pool = 8") && error.contains("at least 9"), "{error}");
        run(async {
            let set = |sessions: Sessions<Cart>| sessions.pool(small.lent());
            let (rocket, _) = rocket_with(Arc::new(MemoryStore::default()), config.clone(), set);
            let refused = Client::untracked(rocket).await.unwrap_err();
            assert!(matches!(refused.kind(), ErrorKind::FailedFairings(_)));
            let client = application(&AppPool::new(database, 9), config).await;
            new_cookie(&client).await;
        });
    }

    fn sessions_use_no_more_of_the_pool_than_their_share(database: &Database) {
        let pool = AppPool::new(database, 12);
        let mut options = StoreOptions::default();
        options.pool_size = 2;
        let store = &DieselStore::from_pool(pool.lent(), options).unwrap();
        store.migrate().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let most = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(pool.in_use());
                }
                most
            });
            let users: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| {
                    for _ in 0..20 {
                        store.create(&[new_session(None)]).unwrap();
                    }
                }))
                .collect();
            for user in users {
                user.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            assert!((1..=2).contains(&most.join().unwrap()));
        });
        assert_eq!(database.sessions(), 160);
    }
}

/// Runs the checks on a store whose tables are in the schema `visits` only.
fn check_in_schema(database: &Database, open: impl Fn(StoreOptions) -> DieselStore) {
    let mut options = StoreOptions::default();
    options.schema = Some("visits".parse().unwrap());
    let store = open(options.clone());
    assert!(!store.migrate().unwrap().is_empty());
    assert_eq!(store.pending_migrations().unwrap(), [""; 0]);
    conformance::run(&store).unwrap();
    // Another start finds the tables of the first.
    let store = open(options);
    assert_eq!(store.pending_migrations().unwrap(), [""; 0]);
    let new = new_session(None);
    store.create(std::slice::from_ref(&new)).unwrap();
    assert!(store.find(&new.id).unwrap().is_some());
    let tables = "SELECT count(*) AS n FROM pg_tables WHERE tablename LIKE 'session%' AND \
                  schemaname";
    assert_eq!(database.number(&format!("{tables} <> 'visits'")), 0);
    assert!(database.number(&format!("{tables} = 'visits'")) > 0);
}

#[test]
fn a_schema_is_used_on_the_applications_connections() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let pool = AppPool::new(&database, 10);
    let before = pool.settings();
    check_in_schema(&database, |options| {
        DieselStore::from_pool(pool.lent(), options).unwrap()
    });
    assert_eq!(pool.settings(), before);
}

/// Settings as behind a PgBouncer in transaction mode.
#[test]
fn a_schema_is_used_behind_a_pooler_in_transaction_mode() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    check_in_schema(&database, |mut options| {
        options.prepared_statements = false;
        DieselStore::open(&database.url(), options).unwrap()
    });
}

#[test]
fn i12_a_pool_of_databases_in_memory_is_refused() {
    use diesel::SqliteConnection;
    use diesel::r2d2::{ConnectionManager, Pool};
    let manager = ConnectionManager::<SqliteConnection>::new(":memory:");
    let pool = Pool::builder().max_size(10).build(manager).unwrap();
    let refused = SessionConfig::default().open_pool(pool).unwrap_err();
    assert!(refused.to_string().contains("in memory"), "{refused}");
}

#[test]
fn i11_a_locked_row_delays_a_connection_without_limits_no_longer() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = store(&AppPool::new(&database, 10));
    store.migrate().unwrap();
    let (held, free) = (new_session(None), new_session(None));
    store.create(&[held.clone(), free.clone()]).unwrap();
    let mut other = database.connection();
    other.run(&format!(
        "BEGIN; SELECT 1 FROM sessions WHERE id = '{}' FOR UPDATE",
        held.id
    ));
    let start = Instant::now();
    let refused = store.delete(std::slice::from_ref(&held.id)).unwrap_err();
    assert!(matches!(refused, StoreError::Locked(_)), "{refused}");
    // The application's own limit is a minute.
    assert!(start.elapsed() < Duration::from_secs(20));
    let outcome = store
        .try_delete(&[held.id.clone(), free.id.clone()])
        .unwrap();
    assert_eq!(
        (outcome.ended, outcome.held),
        (vec![free.id], vec![held.id])
    );
    other.run("ROLLBACK");
}

#[test]
fn i6_connections_that_the_server_has_closed_cost_no_write() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let pool = AppPool::new(&database, 10);
    let store = store(&pool);
    store.migrate().unwrap();
    let sweep = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = \
                 current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        let new = new_session(None);
        store.create(std::slice::from_ref(&new)).unwrap();
        database.execute(sweep);
        store.create(&[new_session(None)]).unwrap();
        database.execute(sweep);
        assert_eq!(store.load(&[new.session_id]).unwrap().len(), 1);
    }
    assert_eq!(pool.in_use(), 0);
}
