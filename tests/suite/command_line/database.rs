//! The database of a command: which commands create and migrate it, which only read it, and how
//! long they wait for it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rocket_diesel_sessions::store::SessionStore;

use crate::support::altered;
use crate::support::command_line::{assert_fails, on, run, run_with_input, stdout};
use crate::support::fake_postgres::{self, Behaviour};
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;
use crate::support::start::{folder, refusal, release};
use crate::support::{Database, Kind, holds_for};

/// Commands that only read. They neither create nor change a database.
const READERS: [&[&str]; 8] = [
    &["sessions", "list"],
    &["sessions", "show", "x"],
    &["sessions", "clear", "--dry-run"],
    &["sessions", "revoke", "--user", "ada", "--dry-run"],
    &["users", "list"],
    &["users", "show", "ada"],
    &["stats"],
    &["sweep", "--dry-run"],
];

fn tables(database: &Database) -> i64 {
    database.number(match database.kind() {
        Kind::Sqlite => "SELECT count(*) AS n FROM sqlite_master",
        Kind::Postgres => "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'",
    })
}

on_each_database! {
    fn a_writing_command_migrates_an_empty_database_first(database: &Database) {
        let added = run_with_input(database, &["users", "add", "ada", "--admin"], "sesame, open\n");
        assert!(stdout(&added).contains("administrator ada"));
        assert!(run(database, &["users", "list"]).contains("ada"));
        assert!(run(database, &["migrate"]).contains("is up to date"));
    }

    fn every_writing_command_migrates_an_old_database(database: &Database) {
        let store = database.bare_store();
        for arguments in [
            &["sweep"][..],
            &["sessions", "clear", "--yes"],
            &["sessions", "revoke", "--user", "ada"],
            &["users", "promote", "ada"],
        ] {
            store.migrate().unwrap();
            store.revert_migrations().unwrap();
            // The objects that they change are missing, which is found out after the migration.
            run_to_end(on(database, arguments));
            assert!(store.pending_migrations().unwrap().is_empty(), "{arguments:?}");
        }
    }

    fn a_reading_command_names_the_command_to_run_and_changes_nothing(database: &Database) {
        // An existing but empty SQLite file.
        database.execute("VACUUM");
        for arguments in READERS {
            let words = ["lacks the migrations", "run `rocket_diesel_sessions migrate` first"];
            assert_fails(database, arguments, &words);
        }
        assert_eq!(tables(database), 0);
    }

    fn without_auto_migrate_no_command_migrates(database: &Database) {
        database.execute("VACUUM");
        let mut command = on(database, &["sweep"]);
        command.env("ROCKET_SESSIONS", "{auto_migrate=false}");
        let message = refusal(&run_to_end(command));
        assert!(message.contains("auto_migrate = true"), "{message}");
        assert_eq!(tables(database), 0);
    }

    fn a_read_only_store_refuses_to_write(database: &Database) {
        database.store().create(&[new_session(None)]).unwrap();
        let reader = rocket_diesel_sessions::DieselStore::open_read_only(
            &database.url(),
            altered(rocket_diesel_sessions::store::StoreOptions::default(), |options| options.prepared_statements = database.direct_url() == database.raw_url()),
        )
        .unwrap();
        assert_eq!(reader.count_created(chrono::Utc::now()).unwrap(), 1);
        if database.direct_url() == database.raw_url() {
            assert!(reader.create(&[new_session(None)]).is_err());
            assert_eq!(database.sessions(), 1);
        }
    }
}

#[test]
fn a_reading_command_does_not_create_a_mistyped_file() {
    let folder = folder();
    for arguments in READERS {
        let mut command = release(folder.path());
        command
            .args(arguments)
            .env("DATABASE_URL", "sqlite://sesions.db");
        let message = refusal(&run_to_end(command));
        for word in [
            "file sesions.db does not exist",
            "DATABASE_URL",
            "rocket_diesel_sessions migrate",
        ] {
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_reading_command_leaves_no_files_beside_an_sqlite_file() {
    let database = Database::new(Kind::Sqlite).unwrap();
    database.store().create(&[new_session(None)]).unwrap();
    let names = || {
        let entries = std::fs::read_dir(database.folder()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let content = || std::fs::read(database.folder().join("test.db")).unwrap();
    let before = (names(), content());
    for arguments in READERS.iter().cycle().take(3 * READERS.len()) {
        run_to_end(on(&database, arguments));
        assert_eq!(names(), before.0, "{arguments:?}");
        assert!(content() == before.1, "{arguments:?}");
    }
}

#[test]
fn the_first_administrator_can_be_added_in_an_empty_directory() {
    let folder = folder();
    let mut command = release(folder.path());
    let input = folder.path().join("password");
    std::fs::write(&input, "sesame, open\n").unwrap();
    command
        .args(["users", "add", "ada", "--admin"])
        .stdin(std::fs::File::open(input).unwrap());
    assert!(stdout(&run_to_end(command)).contains("administrator ada"));
    assert!(folder.path().join("sessions.db").exists());
}

/// Returns the command's message and how long it took.
fn timed(mut command: Command, url: &str, wait: &[&str]) -> (String, Duration) {
    command
        .args(["users", "list"])
        .args(wait)
        .env("DATABASE_URL", url);
    let start = Instant::now();
    let message = refusal(&run_to_end(command));
    (message, start.elapsed())
}

#[test]
fn a_command_waits_for_a_database_five_seconds_or_as_configured() {
    let folder = folder();
    let down = "postgres://app@127.0.0.1:1/app";
    let (message, took) = timed(release(folder.path()), down, &[]);
    assert!(
        message.contains("error: cannot connect to postgres://app@127.0.0.1:1/app"),
        "{message}"
    );
    assert!(
        message.contains("(waited 5s for the database; --wait"),
        "{message}"
    );
    assert!(took >= Duration::from_secs(5), "{took:?}");
    let by_default = took;

    let (message, took) = timed(release(folder.path()), down, &["--wait", "0s"]);
    assert!(message.contains("waited 0s"), "{message}");
    assert!(took < by_default, "{took:?}");

    let mut before = release(folder.path());
    before.args(["--wait", "1s"]);
    let (message, took) = timed(before, down, &[]);
    assert!(message.contains("waited 1s"), "{message}");
    let expected = Duration::from_secs(1)..by_default;
    assert!(expected.contains(&took), "{took:?}");

    // `migrate` and `serve` have their own code for waiting.
    for (command, word) in [("migrate", "waited 0s"), ("serve", "cannot connect")] {
        let mut told = release(folder.path());
        told.args([command, "--wait", "0s"])
            .env("DATABASE_URL", down);
        let start = Instant::now();
        let message = refusal(&run_to_end(told));
        assert!(message.contains(word), "{command}: {message}");
        assert!(start.elapsed() < by_default, "{command}");
    }
}

#[test]
fn a_command_waits_for_a_locked_file_as_long_as_configured() {
    let database = Database::new(Kind::Sqlite).unwrap();
    database.store();
    let sweep = |wait: &str| {
        let mut command = on(&database, &["sweep", "--wait", wait]);
        command.env("ROCKET_SESSIONS", r#"{timeout="100ms"}"#);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut holder = database.connection();
    holder.run("BEGIN IMMEDIATE");
    assert!(refusal(&run_to_end(sweep("0s"))).contains("busy"));
    let mut told = sweep("15s").spawn().unwrap();
    holds_for("it waits", Duration::from_secs(1), || {
        told.try_wait().unwrap().is_none()
    });
    holder.run("ROLLBACK");
    assert!(stdout(&told.wait_with_output().unwrap()).contains("deleted 0"));
}

#[test]
fn a_silent_database_is_not_waited_for_longer() {
    let folder = folder();
    let url = fake_postgres::start(&[Behaviour::Silent]);
    let (message, took) = timed(release(folder.path()), &url, &["--wait", "1s"]);
    let by_default = Duration::from_secs(5);
    assert!(took < by_default, "{took:?}");
    assert!(message.contains("waited 1s"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}
