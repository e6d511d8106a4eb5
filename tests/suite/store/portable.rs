//! The statements and migrations for engines that speak PostgreSQL's language and lack parts of it.
//! With `TEST_DIALECT=portable`, the whole suite uses them (see tests/run).

use std::path::Path;

use chrono::Utc;
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{
    Dialect, LastAdmin, NewSession, RotateOutcome, RotateSession, SaveOutcome, SaveSession,
    SessionHandle, SessionStore, StatsStore, StoreOptions, TouchSession, UserStore,
};
use rocket_diesel_sessions::testing::conformance;
use tracing::Level;
use uuid::Uuid;

use crate::support::sessions::{create_expired, create_live, new_session};
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
        create_expired(&store, 1000);
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
                for index in statements
                    .split(';')
                    .filter(|sql| sql.contains("CREATE") && sql.contains("INDEX"))
                {
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
    assert_eq!(ran, 10, "each migration was run once");
}

/// A store that uses the portable statements on PostgreSQL.
fn portable(database: &Database) -> DieselStore {
    let options = altered(database.options(), |options| {
        options.dialect = Dialect::Portable;
    });
    let store = DieselStore::open(&database.url(), options).unwrap();
    store.migrate().unwrap();
    store
}

#[test]
fn clearing_ends_all_sessions_a_thousand_at_a_time() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = portable(&database);
    create_live(&store, 10_000);
    let mut ended = 0;
    let clear = StoreAdmin::new(&store).clear(Utc::now(), |batch| {
        assert!(batch.len() <= 1000);
        ended += batch.len();
    });
    clear.unwrap();
    assert_eq!((ended, database.sessions()), (10_000, 0));
}

#[test]
fn i11_a_locked_row_holds_up_no_other_without_skip_locked() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    assert_locked_row_is_held(&portable(&database), &database);
}

/// Saves, rotates and deletes 20 sessions of which one is locked, and sweeps as many.
pub(crate) fn assert_locked_row_is_held(store: &DieselStore, database: &Database) {
    let made: Vec<NewSession> = (0..20).map(|_| new_session(None)).collect();
    store.create(&made).unwrap();
    let lock = |id: &SessionHandle| {
        let mut holder = database.connection();
        holder.run(&format!(
            "BEGIN; UPDATE sessions SET kind = kind WHERE id = '{id}'"
        ));
        holder
    };
    let holder = lock(&made[7].id);
    let save = |new: &NewSession| {
        let save = SaveSession::new(new.session_id, 0, "{}", Utc::now());
        altered(save, |save| save.id = Some(new.id.clone()))
    };
    let saves: Vec<SaveSession> = made.iter().map(save).collect();
    let mut expected = vec![SaveOutcome::Saved; 20];
    expected[7] = SaveOutcome::Held;
    assert_eq!(store.save(&saves).unwrap(), expected);
    let touch = |new: &NewSession| {
        let touch = TouchSession::new(new.session_id, Utc::now());
        altered(touch, |touch| touch.id = Some(new.id.clone()))
    };
    let touches: Vec<TouchSession> = made.iter().map(touch).collect();
    assert_eq!(store.touch(&touches).unwrap(), 19);
    let rotation = |new: &NewSession| {
        let rotation = RotateSession {
            session_id: new.session_id,
            new_session_id: Uuid::now_v7(),
            new_token_hash: new.token_hash,
            now: Utc::now(),
        };
        (new.id.clone(), rotation)
    };
    let rotations: Vec<_> = made.iter().map(rotation).collect();
    let mut expected = vec![RotateOutcome::Rotated; 20];
    expected[7] = RotateOutcome::Held;
    assert_eq!(store.rotate_by_key(&rotations).unwrap(), expected);
    let handles: Vec<SessionHandle> = made.iter().map(|new| new.id.clone()).collect();
    let deleted = store.try_delete(&handles).unwrap();
    assert_eq!(
        (deleted.ended.len(), deleted.held),
        (19, vec![made[7].id.clone()])
    );
    drop(holder);
    create_expired(store, 2_000);
    let mut expired = new_session(None);
    expired.expires_at -= chrono::TimeDelta::days(3);
    store.create(std::slice::from_ref(&expired)).unwrap();
    let holder = lock(&expired.id);
    let swept = StoreAdmin::new(store).sweep(Utc::now(), |_| {}).unwrap();
    assert_eq!(swept.deleted, 2_000);
    drop(holder);
    let swept = StoreAdmin::new(store).sweep(Utc::now(), |_| {}).unwrap();
    assert_eq!(swept.deleted, 1);
}

#[test]
fn a_schema_of_its_own_is_made_for_portable_tables_too() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let options = altered(database.options(), |options| {
        options.dialect = Dialect::Portable;
        options.schema = Some("of_sessions".parse().unwrap());
    });
    let store = DieselStore::open(&database.url(), options).unwrap();
    assert_eq!(store.migrate().unwrap().len(), 10);
    store.create(&[new_session(None)]).unwrap();
    assert_eq!(
        database.number("SELECT count(*) AS n FROM of_sessions.sessions"),
        1
    );
}
