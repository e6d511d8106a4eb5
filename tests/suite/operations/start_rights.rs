//! If no migration is pending, a start needs no more rights than its requests.

use crate::support::server::run_to_end;
use crate::support::start::{assert_refused, release};
use crate::support::{Database, Kind, Server};

/// Returns a URL with a role that may read and write all tables and has no other rights.
fn as_plain_role(database: &Database) -> String {
    let name = database.name();
    database.execute(&format!(
        "CREATE ROLE {name} LOGIN; REVOKE CREATE ON SCHEMA public FROM public; \
         ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}"
    ));
    database
        .direct_url()
        .replace("postgres@", &format!("{name}@"))
}

#[test]
fn i12_a_role_that_may_not_migrate_serves_a_migrated_database() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let url = as_plain_role(&database);
    let command = |arguments: &[&str]| {
        let mut command = release(database.folder());
        command.env("DATABASE_URL", &url).args(arguments);
        command
    };
    for arguments in [&["serve"], &["migrate"]] {
        let words = ["permission denied", "`migrate`", "auto_migrate"];
        assert_refused(command(arguments), &words);
    }
    // By the role to which its default privileges apply.
    let mut owner = release(database.folder());
    owner
        .env("DATABASE_URL", database.direct_url())
        .arg("migrate");
    assert!(run_to_end(owner).status.success());
    let output = run_to_end(command(&["migrate"]));
    assert!(output.status.success(), "{output:?}");
    let server = Server::spawn(command(&[]));
    assert_eq!(server.client().visit(), 1);
}

#[test]
fn a_start_without_pending_migrations_does_not_wait_for_their_lock() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    database.store();
    let mut holder = database.connection();
    holder.run("BEGIN; SELECT pg_advisory_xact_lock(8315179226536832627)");
    let mut command = release(database.folder());
    command
        .env("DATABASE_URL", database.raw_url())
        .arg("migrate");
    let output = run_to_end(command);
    assert!(output.status.success(), "{output:?}");
    let server = Server::start(&database);
    assert_eq!(server.client().visit(), 1);
}
