//! I12 for SQLite: an unusable file is refused at once and named, and no command creates or changes
//! a file that was not meant for it.

use std::os::unix::fs::PermissionsExt;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::support::server::{Starting, run_to_end};
use crate::support::start::{assert_refused, folder, refusal, release};
use crate::support::{Database, Kind, Server};

#[test]
fn i12_a_file_that_cannot_be_used_stops_the_start_and_is_named() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    std::fs::write(folder.path().join("text"), "no database ".repeat(100)).unwrap();
    drop(SqliteConnection::establish(&format!("{}/there.db", folder.path().display())).unwrap());
    for (url, words) in [
        ("sqlite://folder", ["folder is a directory", "open"]),
        ("sqlite:///", ["/ is a directory", "open"]),
        ("sqlite://no/x.db", ["directory no does not exist", "open"]),
        ("sqlite://text", ["not a database", "text"]),
        (
            "sqlite://text/x.db",
            ["directory text does not exist", "open"],
        ),
        (
            "sqlite://none.db?mode=rw",
            ["file none.db does not exist", "open"],
        ),
        ("sqlite://there.db?mode=ro", ["readonly", "there.db"]),
        ("sqlite://there.db?immutable=1", ["readonly", "there.db"]),
        ("sqlite://?mode=rwc", ["DATABASE_URL", "name"]),
        ("sqlite://a#b.db", ["DATABASE_URL", "%23"]),
        ("sqlite://a?b.db", ["DATABASE_URL", "%3F"]),
        ("sqlite://%3Amemory%3A", ["DATABASE_URL", "in-memory"]),
        ("sqlite://x?vfs=memdb", ["DATABASE_URL", "in-memory"]),
        (
            "sqlite://x?vfs=none-of-that-name",
            ["none-of-that-name", "vfs"],
        ),
    ] {
        for argument in ["serve", "migrate"] {
            let mut command = release(folder.path());
            command.env("DATABASE_URL", url).arg(argument);
            assert_refused(command, &words);
        }
    }
}

#[test]
fn a_new_file_is_private_and_an_existing_one_keeps_its_mode() {
    let folder = folder();
    let mode = |name: &str| {
        let data = std::fs::metadata(folder.path().join(name)).unwrap();
        data.permissions().mode() & 0o777
    };
    let serve = |url: &str| {
        let mut command = release(folder.path());
        command.env("DATABASE_URL", url);
        let server = Server::spawn(command);
        assert_eq!(server.client().visit(), 1);
        server
    };
    let server = serve("sqlite://new.db");
    assert_eq!((mode("new.db"), mode("new.db-wal")), (0o600, 0o600));
    drop(server);
    let (file, link) = (
        folder.path().join("shared.db"),
        folder.path().join("link.db"),
    );
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o660)).unwrap();
    drop(serve("sqlite://shared.db"));
    assert_eq!(mode("shared.db"), 0o660);
    std::os::unix::fs::symlink("target.db", link).unwrap();
    drop(serve("sqlite://link.db"));
    assert_eq!(mode("target.db"), 0o600);
}

#[test]
fn an_absolute_path_may_have_four_slashes() {
    let folder = folder();
    let mut command = release(folder.path());
    let path = folder.path().join("abs.db");
    command
        .env("DATABASE_URL", format!("sqlite:///{}", path.display()))
        .arg("migrate");
    let output = run_to_end(command);
    assert!(output.status.success(), "{output:?}");
    assert!(path.exists());
}

#[test]
fn i12_commands_do_not_change_files_of_other_programs() {
    let folder = folder();
    let path = folder.path().join("other.db");
    let mut other = SqliteConnection::establish(&path.display().to_string()).unwrap();
    other.batch_execute("CREATE TABLE notes (text)").unwrap();
    let before = std::fs::read(&path).unwrap();
    for arguments in [
        &["sessions", "list"][..],
        &["users", "list"],
        &["stats"],
        &["sweep", "--dry-run"],
        // It writes, and creates a missing file.
        &["sweep"],
    ] {
        for (url, word) in [
            ("sqlite://mistyped.db", "file mistyped.db does not exist"),
            ("sqlite://other.db", "lacks the migrations"),
        ] {
            if arguments == ["sweep"] && url == "sqlite://mistyped.db" {
                continue;
            }
            let mut command = release(folder.path());
            command.args(arguments).env("DATABASE_URL", url);
            let message = refusal(&run_to_end(command));
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_start_waits_for_a_locked_file_only_to_migrate_it() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let with = |settings: &str| {
        let mut command = release(database.folder());
        command
            .env("DATABASE_URL", database.raw_url())
            .env("ROCKET_SESSIONS", settings);
        command
    };
    // In WAL mode already, and empty.
    database.execute("PRAGMA journal_mode = WAL");
    let mut holder = database.connection();
    holder.run("BEGIN IMMEDIATE");
    let impatient = r#"{timeout="100ms",startup_timeout="300ms"}"#;
    assert_refused(with(impatient), &["busy", "waiting for"]);
    let starting = Starting::spawn(with(r#"{timeout="100ms",startup_timeout="20s"}"#));
    starting.wait_for_log("waiting for");
    holder.run("ROLLBACK");
    let server = starting.ready();
    assert_eq!(server.client().visit(), 1);
    drop(server);
    holder.run("BEGIN IMMEDIATE");
    // Nothing is pending.
    let server = Server::spawn(with(impatient));
    assert_eq!(server.client().get("/readyz").status, 200);
    holder.run("ROLLBACK");
    assert!(server.client().visit() > 0);
}
