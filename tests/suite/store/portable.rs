//! The statements and migrations for engines that speak PostgreSQL's language and lack parts of it.
//! With `TEST_DIALECT=portable`, the whole suite uses them (see tests/run).

use std::path::Path;

use chrono::Utc;
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{
    Dialect, LastAdmin, SessionStore, StatsStore, StoreOptions, UserStore,
};
use rocket_diesel_sessions::testing::conformance;
use tracing::Level;

use crate::support::sessions::{create_expired, new_session};
use crate::support::{Database, Kind, altered, logged_at};

/// What some engine refuses, or accepts and ignores.
const REFUSED: [&str; 14] = [
    "SKIP LOCKED",
    "FOR UPDATE",
    "FOR NO KEY UPDATE",
    "FOR SHARE",
    "ctid",
    "pg_advisory",
    "LOCK TABLE",
    "enable_",
    "COLLATE",
    "fillfactor",
    "autovacuum",
    "TRIGGER",
    "plpgsql",
    "DO $",
];

fn refused_in(sql: &str) -> Vec<&'static str> {
    let sql = sql.to_lowercase();
    let mut refused = REFUSED.to_vec();
    refused.retain(|text| sql.contains(&text.to_lowercase()));
    refused
}

/// Uses all that a store can do, and returns the statements.
fn statements(dialect: Dialect) -> Option<String> {
    let database = Database::new(Kind::Postgres)?;
    let options = altered(database.options(), |options| options.dialect = dialect);
    let open = |options: StoreOptions| DieselStore::open(&database.url(), options).unwrap();
    open(options.clone()).migrate().unwrap();
    database.add_users(&["ada", "bob", "eve"]);
    let ((), log) = logged_at(Level::DEBUG, async {
        let store = open(options);
        conformance::run(&store).unwrap();
        conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
        let (first, second) = (new_session(Some("eve")), new_session(Some("eve")));
        store.create(&[first, second]).unwrap();
        store
            .disable_user(&"eve".into(), Utc::now(), LastAdmin::Keep)
            .unwrap();
        store
            .delete_user(&"eve".into(), None, LastAdmin::Keep)
            .unwrap();
        create_expired(&store, 30);
        let admin = StoreAdmin::new(&store).statistics(&store);
        admin.sweep(Utc::now(), |_| {}).unwrap();
        admin.clear(Utc::now(), |_| {}).unwrap();
        store.census(Utc::now(), None).unwrap();
        store.forget(Utc::now(), Utc::now()).unwrap();
    });
    Some(log)
}

#[test]
fn no_portable_statement_has_what_an_engine_refuses() {
    let Some(portable) = statements(Dialect::Portable) else {
        return;
    };
    assert!(portable.contains("UPDATE sessions AS s"), "{portable}");
    assert_eq!(refused_in(&portable), Vec::<&str>::new());
    // Each batch names the shards of its rows, and both names of each row.
    let batches = || portable.lines().filter(|line| line.contains("unnest("));
    assert!(batches().count() > 3);
    for line in batches().filter(|line| !line.contains("INSERT INTO")) {
        assert!(line.contains("id = ANY("), "{line}");
        assert!(line.contains("session_id = "), "{line}");
    }
    // The check can fail: PostgreSQL's own statements have some of it.
    let own = statements(Dialect::Postgres).unwrap();
    assert!(refused_in(&own).contains(&"SKIP LOCKED"));
}

#[test]
fn no_portable_migration_has_what_an_engine_refuses() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"));
    let mut read = 0;
    for folder in ["portable", "external/portable"] {
        for migration in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = migration.unwrap().path();
            for file in ["up.sql", "down.sql"] {
                let sql = std::fs::read_to_string(path.join(file)).unwrap();
                let statements = sql.lines().filter(|line| !line.starts_with("--"));
                let statements: String = statements.collect();
                assert_eq!(
                    refused_in(&statements),
                    Vec::<&str>::new(),
                    "{}",
                    path.display()
                );
                // Some engines hash the first column of an index if it has no order.
                for index in statements.split(';').filter(|sql| sql.contains("INDEX")) {
                    assert!(index.contains(" ASC"), "{index}");
                }
                read += 1;
            }
        }
    }
    assert!(read >= 10);
    let own = root.join("postgres/2026-11-24-000000_create_users_and_sessions/up.sql");
    let own = std::fs::read_to_string(own).unwrap();
    assert!(refused_in(&own).contains(&"COLLATE"));
}

/// A database that one dialect has made serves with the other.
#[test]
fn the_dialect_of_a_database_can_be_changed() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let with = |dialect| {
        let options = altered(database.options(), |options| options.dialect = dialect);
        DieselStore::open(&database.url(), options).unwrap()
    };
    let made = new_session(None);
    let portable = with(Dialect::Portable);
    portable.migrate().unwrap();
    portable.create(std::slice::from_ref(&made)).unwrap();
    let own = with(Dialect::Postgres);
    // What the portable migrations leave out.
    assert_eq!(own.migrate().unwrap().len(), 3);
    assert_eq!(own.load(&[made.session_id]).unwrap().len(), 1);
    assert!(portable.pending_migrations().unwrap().is_empty());
    conformance::run(&portable).unwrap();
    conformance::run(&own).unwrap();
}

/// Servers that start on an empty database at once wait for each other without advisory locks.
#[test]
fn several_processes_run_portable_migrations_at_once() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let options = altered(database.options(), |options| {
        options.dialect = Dialect::Portable;
    });
    let ran: usize = std::thread::scope(|scope| {
        let migrate = || {
            let store = DieselStore::open(&database.url(), options.clone()).unwrap();
            store.migrate().unwrap().len()
        };
        let threads = [(); 6].map(|()| scope.spawn(migrate));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(ran, 4, "each migration was run once");
}
