//! The subcommands, as an operator types them.

use std::process::{Command, Output};

use chrono::TimeDelta;
use rocket_diesel_sessions::{SessionKeys, SessionStore};

use crate::store::new_session;
use crate::support::server::{program, run_to_end};
use crate::support::{Database, Kind};

fn on(database: &Database, arguments: &[&str]) -> Command {
    let mut command = program(database.folder());
    command
        .env("DATABASE_URL", database.raw_url())
        .args(arguments);
    command
}

fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

on_each_database! {
    fn migrate_brings_the_schema_up_to_date_once(database: &Database) {
        let first = stdout(&run_to_end(on(database, &["migrate"])));
        assert!(first.contains("ran migration"), "{first}");
        assert_eq!(database.sessions(), 0);
        let second = stdout(&run_to_end(on(database, &["migrate"])));
        assert!(second.contains("is up to date"), "{second}");
    }

    fn sweep_deletes_what_has_expired(database: &Database) {
        let store = database.store();
        let mut expired = new_session(None);
        expired.expires_at -= TimeDelta::days(2);
        store.create(&[expired, new_session(None)]).unwrap();
        let report = stdout(&run_to_end(on(database, &["sweep"])));
        assert!(report.contains("deleted 1 expired sessions"), "{report}");
        assert_eq!(database.sessions(), 1);
    }

    fn sweep_says_when_there_is_no_schema(database: &Database) {
        let output = run_to_end(on(database, &["sweep"]));
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("lacks the migrations"), "{message}");
    }
}

#[test]
fn secret_prints_a_fresh_secret_that_can_be_used() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let secret = || stdout(&run_to_end(on(&database, &["secret"])));
    let (one, other) = (secret(), secret());
    assert_ne!(one, other);
    SessionKeys::parse(one.trim()).unwrap();
    assert_eq!(one.lines().count(), 1);
}

#[test]
fn an_unknown_command_says_which_there_are() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let output = run_to_end(on(&database, &["swep"]));
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("sweep"), "{message}");
    let help = stdout(&run_to_end(on(&database, &["--help"])));
    for command in ["serve", "migrate", "sweep", "secret"] {
        assert!(help.contains(command), "{help}");
    }
}
