//! The schema: migrations up, down and up again, embedded and with Diesel's command line, and by
//! several processes at once.

use std::path::Path;
use std::sync::Barrier;

use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use rocket_diesel_sessions::store::SessionStore;

use crate::support::sessions::new_session;
use crate::support::{Database, Kind};

/// Returns the migrations in the directory that one of `diesel_cli`'s configuration files names.
fn migrations_of(config: &str) -> FileBasedMigrations {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let figment = rocket::figment::Figment::from(
        <rocket::figment::providers::Toml as rocket::figment::providers::Format>::file_exact(
            root.join(config),
        ),
    );
    let folder: String = figment.extract_inner("migrations_directory.dir").unwrap();
    FileBasedMigrations::from_path(root.join(folder)).unwrap()
}

on_each_database! {
    fn asking_for_pending_migrations_changes_nothing(database: &Database) {
        let store = database.bare_store();
        assert!(!store.pending_migrations().unwrap().is_empty());
        let tables = match database.kind() {
            Kind::Sqlite => "SELECT count(*) AS n FROM sqlite_master",
            Kind::Postgres => "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'",
        };
        assert_eq!(database.number(tables), 0);
    }

    fn migrations_go_up_down_and_up_again(database: &Database) {
        let store = database.bare_store();
        let pending = store.pending_migrations().unwrap();
        assert!(!pending.is_empty());
        let up = store.migrate().unwrap();
        assert_eq!(up.len(), pending.len());
        assert_eq!(store.migrate().unwrap(), Vec::<String>::new());
        assert_eq!(store.pending_migrations().unwrap(), Vec::<String>::new());
        store.create(&[new_session(None)]).unwrap();

        let down = store.revert_migrations().unwrap();
        assert_eq!(down.len(), up.len());
        assert!(store.create(&[new_session(None)]).is_err());
        assert_eq!(store.migrate().unwrap(), up);
        assert_eq!(database.sessions(), 0);
        store.create(&[new_session(None)]).unwrap();
    }

    fn reverting_leaves_the_migrations_of_an_application_alone(database: &Database) {
        let store = database.bare_store();
        let up = store.migrate().unwrap();
        database.execute("CREATE TABLE __diesel_schema_migrations (version TEXT PRIMARY KEY)");
        for version in ["00000000000001", "20261124000000", "29990101000000"] {
            database.execute(&format!(
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"
            ));
        }
        let mut down = store.revert_migrations().unwrap();
        down.reverse();
        assert_eq!(down, up);
        assert!(store.create(&[new_session(None)]).is_err());
        let left = "SELECT count(*) AS n FROM __diesel_schema_migrations";
        assert_eq!(database.number(left), 3);
        assert_eq!(store.migrate().unwrap(), up);
        store.create(&[new_session(None)]).unwrap();
    }

    fn diesels_command_line_and_the_server_run_the_same_migrations(database: &Database) {
        match database.kind() {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::establish(database.raw_url()).unwrap();
                connection.run_pending_migrations(migrations_of("diesel.toml")).unwrap();
            }
            Kind::Postgres => {
                let mut connection = PgConnection::establish(database.direct_url()).unwrap();
                let migrations = migrations_of("diesel.postgres.toml");
                connection.run_pending_migrations(migrations).unwrap();
            }
        }
        let store = database.bare_store();
        assert_eq!(store.pending_migrations().unwrap(), Vec::<String>::new());
        store.create(&[new_session(None)]).unwrap();
    }

    fn many_processes_can_migrate_an_empty_database_at_once(database: &Database) {
        let barrier = Barrier::new(8);
        let ran: usize = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        database.bare_store().migrate().unwrap().len()
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).sum()
        });
        assert_eq!(ran, database.store().revert_migrations().unwrap().len());
    }
}
