//! The start of the program and its refusals: one clear line, and nothing broken.

use crate::support::server::{program, run_to_end};
use crate::support::start::{SECRET, assert_refused, folder, refusal, release};
use crate::support::visitor::Browser;
use crate::support::{Database, Kind, Server};

#[test]
fn the_program_starts_without_configuration_and_keeps_sessions() {
    let folder = folder();
    let start = || Server::spawn(program(folder.path()));
    let server = start();
    let mut visitor = server.client();
    assert_eq!((visitor.visit(), visitor.visit()), (1, 2));
    assert_eq!(server.terminate(), Some(0));
    let server = start();
    visitor.set_url(server.url());
    assert_eq!(visitor.visit(), 3);
    for file in [".session-secret", "sessions.db"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

on_each_database! {
    fn sessions_survive_a_restart(database: &Database) {
        let server = Server::start(database);
        let mut visitor = server.client();
        assert_eq!((visitor.visit(), visitor.visit()), (1, 2));
        assert_eq!(server.terminate(), Some(0));
        let server = Server::start(database);
        visitor.set_url(server.url());
        assert_eq!(visitor.visit(), 3);
    }

    fn servers_that_start_together_on_an_empty_database_all_serve(database: &Database) {
        for _ in 0..20 {
            let servers: Vec<Server> = std::thread::scope(|scope| {
                let starts = [(); 2].map(|()| scope.spawn(|| Server::start(database)));
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            for server in &servers {
                assert_eq!(server.client().visit(), 1);
            }
            drop(servers);
            database.store().revert_migrations().unwrap();
        }
    }
}

#[test]
fn the_start_message_names_address_profile_and_postgres_without_the_password() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let url = database.raw_url().replace("postgres@", "postgres:hunter2@");
    let mut command = release(database.folder());
    command.env("DATABASE_URL", &url);
    let server = Server::spawn(command);
    let said = server.start_message().to_owned();
    assert!(
        said.contains(&format!("address   {}", server.url())),
        "{said}"
    );
    assert!(
        said.contains(&format!("database  {}", database.raw_url())),
        "{said}"
    );
    assert!(said.contains("profile   release"), "{said}");
    let log = server.log_at_end();
    assert!(
        !said.contains("hunter2") && !log.contains("hunter2"),
        "{said}{log}"
    );
}

#[test]
fn settings_are_read_from_env_file_and_node_env() {
    let folder = folder();
    let lines =
        format!("SESSION_SECRET={SECRET}\nDATABASE_URL=sqlite://other.db\nNODE_ENV=production\n");
    std::fs::write(folder.path().join(".env"), lines).unwrap();
    let mut command = program(folder.path());
    command.env_remove("ROCKET_PROFILE");
    let server = Server::spawn(command);
    assert!(
        server.start_message().contains("profile   release"),
        "{}",
        server.start_message()
    );
    let reply = server.client().get("/api/session/test-session");
    assert!(reply.set_cookie.unwrap().starts_with("__Host-session="));
    assert!(folder.path().join("other.db").exists());
    assert!(!folder.path().join(".session-secret").exists());
}

#[test]
fn an_unreadable_line_of_the_env_file_is_not_shown() {
    let folder = folder();
    std::fs::write(
        folder.path().join(".env"),
        "SESSION_SECRET=hunter2 is my secret\n",
    )
    .unwrap();
    let message = refusal(&run_to_end(program(folder.path())));
    assert!(message.contains(".env: a line cannot be read"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_release_needs_a_good_secret() {
    let folder = folder();
    let mut missing = release(folder.path());
    missing.env_remove("SESSION_SECRET");
    assert_refused(
        missing,
        &["SESSION_SECRET", "not set", "32 bytes", "secret"],
    );
    let mut short = release(folder.path());
    short.env("SESSION_SECRET", "hunter2");
    assert_refused(short, &["SESSION_SECRET", "7 bytes", "32 bytes"]);
    let mut second = release(folder.path());
    second.env("SESSION_SECRET", format!("{SECRET},x"));
    assert_refused(second, &["SESSION_SECRET", "secret 2", "32 bytes"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn unusable_settings_stop_the_start() {
    let folder = folder();
    for (settings, words) in [
        ("{idle_timout='1h'}", ["idle_timout", "idle_timeout"]),
        ("{idle_timeout='soon'}", ["sessions.idle_timeout", "24h"]),
        ("{idle_timeout='90d'}", ["sessions.idle_timeout", "30d"]),
        (
            "{pool_size=6}",
            ["sessions.pool_size", "sessions.workers = 4"],
        ),
        (
            "{cookie={domain='example.com'}}",
            ["sessions.cookie.domain", "__Host-"],
        ),
        (
            "{cookie={secure=false,same_site='none'}}",
            ["sessions.cookie.same_site", "secure = true"],
        ),
        ("{cookie={http_only=false}}", ["http_only", "same_site"]),
    ] {
        let mut command = release(folder.path());
        command.env("ROCKET_SESSIONS", settings.replace('\'', "\""));
        assert_refused(command, &words);
    }
    std::fs::write(
        folder.path().join("Rocket.toml"),
        "[default.sessions]\ntimeout = \"0s\"\n",
    )
    .unwrap();
    assert_refused(release(folder.path()), &["sessions.timeout", "10ms"]);
    let mut port = release(folder.path());
    port.env("ROCKET_CONFIG", "none.toml")
        .env("ROCKET_PORT", "70000");
    assert_refused(port, &["port", "u16"]);
}

#[test]
fn an_unusable_database_stops_the_start() {
    let folder = folder();
    let file = folder.path().join("no-database");
    std::fs::write(
        &file,
        "this is a text file, not a database, and long enough to show it",
    )
    .unwrap();
    for (url, words) in [
        ("mysql://localhost/app", ["DATABASE_URL", "sqlite://"]),
        ("sessions.db", ["DATABASE_URL", "postgres://"]),
        ("sqlite://:memory:", ["DATABASE_URL", "file"]),
        (
            "sqlite://no/such/folder/x.db",
            ["directory no/such/folder does not exist", "open"],
        ),
        ("sqlite://no-database", ["no-database", "not a database"]),
    ] {
        let mut command = release(folder.path());
        command.env("DATABASE_URL", url);
        assert_refused(command, &words);
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.starts_with("this is a text file"));
}

#[test]
fn an_unreachable_database_stops_the_start_after_the_timeout() {
    let folder = folder();
    // A port on which nothing listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = release(folder.path());
    command
        .env(
            "DATABASE_URL",
            format!("postgres://app:hunter2@127.0.0.1:{port}/app"),
        )
        .env("ROCKET_SESSIONS", r#"{startup_timeout="1s"}"#);
    let message = refusal(&run_to_end(command));
    for word in [
        "cannot connect",
        "waiting for",
        "refused",
        &port.to_string(),
    ] {
        assert!(message.contains(word), "{word:?} is missing: {message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

on_each_database! {
    fn a_migration_that_cannot_run_stops_the_start_and_changes_nothing(database: &Database) {
        database.execute("CREATE TABLE sessions (mine TEXT)");
        let mut command = release(database.folder());
        command.env("DATABASE_URL", database.raw_url());
        let advice = match database.kind() {
            Kind::Sqlite => "a file of their own",
            Kind::Postgres => "sessions.schema",
        };
        assert_refused(command, &["migration", "\"sessions\"", "already exists", advice]);
        if database.kind() == Kind::Sqlite {
            let mode = "SELECT count(*) AS n FROM pragma_journal_mode WHERE journal_mode = 'delete'";
            assert_eq!(database.number(mode), 1);
        }
        assert_eq!(database.number("SELECT count(*) AS n FROM sessions"), 0);
        database.execute("SELECT mine FROM sessions");
        // Nothing of a half-run migration is left.
        database.execute("CREATE TABLE users (id TEXT)");
    }

    fn pending_migrations_stop_the_start_if_auto_migrate_is_off(database: &Database) {
        let with = |arguments: &[&str]| {
            let mut command = release(database.folder());
            command
                .env("DATABASE_URL", database.raw_url())
                .env("ROCKET_SESSIONS", "{auto_migrate=false}")
                .args(arguments);
            command
        };
        assert_refused(with(&[]), &["lacks the migrations", "migrate", "auto_migrate"]);
        assert!(run_to_end(with(&["migrate"])).status.success());
        let server = Server::spawn(with(&[]));
        assert_eq!(Browser::new(server.url()).visit(), 1);
    }
}

#[test]
fn a_taken_port_stops_the_start() {
    let folder = folder();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = release(folder.path());
    command.env(
        "ROCKET_PORT",
        listener.local_addr().unwrap().port().to_string(),
    );
    assert_refused(command, &["cannot listen", "ROCKET_PORT", "in use"]);
}
