//! Sessions in the database of an application with its own users, tables and migrations.

use std::sync::{Arc, Barrier};

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::store::{
    ListSessions, LoginOutcome, LoginSession, OnSessionLimit, SessionLimit, SessionStore,
    StoreOptions, SweepBatch, UserSource,
};
use rocket_diesel_sessions::testing::conformance;
use rocket_diesel_sessions::{DieselStore, SessionConfig};

use crate::support::embedded::{get, rocket, run};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, altered};

/// Tables of an application whose names are the library's wherever they can be.
const APPLICATION: &str = "CREATE TABLE users (id BIGINT PRIMARY KEY, email TEXT NOT NULL); \
                           CREATE TABLE orders (id BIGINT PRIMARY KEY);";

fn external(database: &Database) -> StoreOptions {
    altered(database.options(), |options| {
        options.users = UserSource::External;
    })
}

fn open(database: &Database, options: StoreOptions) -> Result<DieselStore, String> {
    let store = DieselStore::open(&database.url(), options);
    let store = store.map_err(|error| error.to_string())?;
    store.migrate().map_err(|error| error.to_string())?;
    Ok(store)
}

/// Writes migrations of an application into a directory. One has the version of the library's
/// first.
fn application_migrations(database: &Database) -> FileBasedMigrations {
    let root = database.folder().join("migrations");
    for (name, up, down) in [
        (
            "2024-05-01-000000_users",
            APPLICATION,
            "DROP TABLE users; DROP TABLE orders;",
        ),
        (
            "2026-11-24-000000_notes",
            "CREATE TABLE notes (id BIGINT);",
            "DROP TABLE notes;",
        ),
    ] {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), up).unwrap();
        std::fs::write(folder.join("down.sql"), down).unwrap();
    }
    FileBasedMigrations::from_path(root).unwrap()
}

/// Runs code on a connection of the application.
macro_rules! of_application {
    ($database:expr, |$connection:ident| $body:expr) => {
        match $database.kind() {
            Kind::Sqlite => {
                let mut $connection = SqliteConnection::establish($database.raw_url()).unwrap();
                $body
            }
            Kind::Postgres => {
                let mut $connection = PgConnection::establish($database.direct_url()).unwrap();
                $body
            }
        }
    };
}

on_each_database! {
    fn a_store_with_external_users_passes_the_conformance_checks(database: &Database) {
        database.execute(APPLICATION);
        let store = open(database, external(database)).unwrap();
        conformance::run(&store).unwrap();
        conformance::run_with_external_users(&store, ["42", "43"]).unwrap();
        let users = "SELECT count(*) AS n FROM users";
        assert_eq!(database.number(users), 0, "the application's table is as it was");
    }

    fn without_the_setting_a_foreign_users_table_is_refused_by_name(database: &Database) {
        database.execute(APPLICATION);
        let error = open(database, database.options()).unwrap_err();
        assert!(error.contains("\"users\"") && error.contains("external"), "{error}");
    }

    fn the_applications_migrations_are_run_reverted_and_redone(database: &Database) {
        let migrations = || application_migrations(database);
        of_application!(database, |connection| {
            connection.run_pending_migrations(migrations()).unwrap();
        });
        let store = open(database, external(database)).unwrap();
        store.create(&[new_session(Some("42"))]).unwrap();
        of_application!(database, |connection| {
            connection.revert_last_migration(migrations()).unwrap();
            assert_eq!(connection.run_pending_migrations(migrations()).unwrap().len(), 1);
            connection.revert_all_migrations(migrations()).unwrap();
            assert_eq!(connection.run_pending_migrations(migrations()).unwrap().len(), 2);
        });
        assert_eq!(database.sessions(), 1);
        assert_eq!(store.pending_migrations().unwrap(), Vec::<String>::new());
        assert!(!store.revert_migrations().unwrap().is_empty());
        assert_eq!(database.number("SELECT count(*) AS n FROM notes"), 0);
    }

    fn i12_a_database_created_for_the_other_user_source_is_refused(database: &Database) {
        open(database, database.options()).unwrap();
        let error = open(database, external(database)).unwrap_err();
        assert!(error.contains("users = \"own\""), "{error}");
        let other = Database::new(database.kind()).unwrap();
        open(&other, external(&other)).unwrap();
        let error = open(&other, other.options()).unwrap_err();
        assert!(error.contains("sessions.users = \"external\""), "{error}");
    }

    fn concurrent_logins_of_an_external_user_keep_to_the_limit(database: &Database) {
        let store = Arc::new(open(database, external(database)).unwrap());
        let barrier = Barrier::new(8);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let logins: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let fresh = new_session(None);
                        barrier.wait();
                        let login = altered(LoginSession::new("42", fresh), |login| {
                            login.limit = SessionLimit::new(2, OnSessionLimit::Refuse);
                        });
                        store.login(&login)
                    })
                })
                .collect();
            logins.into_iter().map(|login| login.join().unwrap().unwrap()).collect()
        });
        let created = outcomes.iter().filter(|outcome| matches!(outcome, LoginOutcome::Created(_)));
        assert_eq!(created.count(), 2, "{outcomes:?}");
        let now = new_session(None).now;
        let query = altered(ListSessions::new(now, 10), |query| query.user_id = Some("42".into()));
        assert_eq!(store.list(&query).unwrap().len(), 2);

        let locks = "SELECT count(*) AS n FROM session_user_locks";
        assert_eq!(database.number(locks), 1);
        let sweep = |days| {
            let now = now + TimeDelta::days(days);
            let batch = SweepBatch::new(now, 10);
            while store.sweep(&batch).unwrap().deleted > 0 {}
        };
        sweep(0);
        assert_eq!(database.number(locks), 1);
        sweep(2);
        assert_eq!(database.number(locks), 0);
    }

    fn an_application_signs_its_own_users_in(database: &Database) {
        database.execute(APPLICATION);
        let store = Arc::new(open(database, external(database)).unwrap());
        run(async {
            let (rocket, _) = rocket(store, SessionConfig::default());
            let client = Client::untracked(rocket).await.unwrap();
            let login = get(&client, "/login/42", None).await;
            let cookie = login.cookie().unwrap();
            assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "42");
            let refused = get(&client, "/login/42?hash=x", None).await;
            assert_eq!(refused.status.code, 401, "there is no hash to verify against");
        });
    }

    fn the_triggers_of_the_guide_end_sessions(database: &Database) {
        let guide = include_str!("../../../docs/external-users.md");
        let mut triggers = guide.split("```sql").skip(1).map(|part| part.split("```").next());
        let trigger = match database.kind() {
            Kind::Postgres => triggers.next(),
            Kind::Sqlite => triggers.nth(1),
        };
        database.execute("CREATE TABLE users (id BIGINT PRIMARY KEY, disabled_at TIMESTAMP)");
        database.execute("INSERT INTO users (id) VALUES (41), (42), (43)");
        let store = open(database, external(database)).unwrap();
        database.execute(trigger.flatten().unwrap());
        let sessions = ["41", "42", "43"].map(|user| new_session(Some(user)));
        store.create(&sessions).unwrap();
        database.execute("DELETE FROM users WHERE id = 41");
        database.execute("UPDATE users SET disabled_at = '2026-01-01 00:00:00' WHERE id = 42");
        let left: Vec<_> = sessions.iter().map(|new| store.find(&new.id).unwrap().is_some()).collect();
        assert_eq!(left, [false, false, true]);
    }

    fn an_installation_of_an_earlier_version_is_taken_over(database: &Database) {
        let folder = match database.kind() {
            Kind::Sqlite => "migrations/sqlite",
            Kind::Postgres => "migrations/postgres",
        };
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let history = FileBasedMigrations::from_path(root.join(folder)).unwrap();
        of_application!(database, |connection| {
            for _ in 0..4 {
                connection.run_next_migration(history.clone()).unwrap();
            }
        });
        let earlier = database.number("SELECT count(*) AS n FROM __diesel_schema_migrations");
        database.add_users(&["ada"]);
        let store = open(database, database.options()).unwrap();
        store.create(&[new_session(Some("ada"))]).unwrap();
        assert_eq!(store.pending_migrations().unwrap(), Vec::<String>::new());
        let taken = "SELECT count(*) AS n FROM session_schema_migrations WHERE taken_over";
        assert_eq!(database.number(taken), 4);
        assert_eq!(
            database.number("SELECT count(*) AS n FROM __diesel_schema_migrations"),
            earlier,
            "an instance of the earlier version still finds its migrations"
        );
        store.revert_migrations().unwrap();
        assert_eq!(database.number("SELECT count(*) AS n FROM __diesel_schema_migrations"), 0);
    }
}

#[test]
fn a_configured_schema_is_created_and_used_whatever_the_search_path() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    database.execute(APPLICATION);
    database.execute("CREATE SCHEMA other; CREATE TABLE other.sessions (id TEXT);");
    database.execute_on_server(&format!(
        "ALTER DATABASE {} SET search_path = other, public",
        database.name()
    ));
    let options = altered(database.options(), |options| {
        options.schema = Some("session_store".parse().unwrap());
    });
    let store = open(&database, options).unwrap();
    conformance::run(&store).unwrap();
    let count = |sql: &str| database.number(&format!("SELECT count(*) AS n FROM {sql}"));
    let tables = "pg_tables WHERE schemaname = 'session_store'";
    assert_eq!(
        count(tables),
        8,
        "users, settings, sessions, events, statistics and migrations"
    );
    assert_eq!(count("other.sessions"), 0);
    assert_eq!(count("users"), 0);
    database.execute(
        "INSERT INTO session_store.users (id, username, password_hash, created_at, updated_at) \
         VALUES ('ada', 'ada', '', now(), now())",
    );
    store.create(&[new_session(Some("ada"))]).unwrap();
    database.execute("UPDATE session_store.users SET disabled_at = now()");
    assert_eq!(count("session_store.sessions WHERE user_id = 'ada'"), 0);
    store.revert_migrations().unwrap();
    assert_eq!(count("pg_tables WHERE schemaname = 'other'"), 1);
}

#[test]
fn i12_a_configured_schema_is_refused_for_sqlite() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let options = altered(database.options(), |options| {
        options.schema = Some("session_store".parse().unwrap());
    });
    let error = open(&database, options).unwrap_err();
    assert!(
        error.contains("schema") && error.contains("PostgreSQL"),
        "{error}"
    );
}
