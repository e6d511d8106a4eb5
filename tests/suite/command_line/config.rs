//! The commands `config check`, `healthcheck`, `serve --port` and `completions`, and the help.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rocket::serde::json::{Value, from_str, json};

use crate::support::command_line::{run, stdout};
use crate::support::server::{program, run_to_end};
use crate::support::start::{SECRET, assert_refused, folder, release};
use crate::support::{Database, Kind, Server};

fn check(mut command: Command) -> Vec<Value> {
    command.args(["config", "check", "--json"]);
    let json: Value = from_str(&stdout(&run_to_end(command))).unwrap();
    json["settings"].as_array().unwrap().clone()
}

/// Returns the value and the source of a setting.
fn setting(settings: &[Value], key: &str) -> (Value, String) {
    let found = settings.iter().find(|setting| setting["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key} is missing"));
    let source = found["source"].as_str().unwrap().to_owned();
    (found["value"].clone(), source)
}

#[test]
fn config_check_shows_each_setting_with_its_source_and_no_secret() {
    let folder = folder();
    std::fs::write(
        folder.path().join("Rocket.toml"),
        "[default]\nport = 8001\n[default.sessions]\nidle_timeout = \"3h\"\n\
         cookie = { same_site = \"strict\" }\n[release.app]\norigins = [\"https://a.example\"]\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "SESSION_ADMIN_TOKEN=an-admin-token-that-nobody-may-see-1\nROCKET_ADDRESS=0.0.0.0\n",
    )
    .unwrap();
    let mut command = program(folder.path());
    command
        .env_remove("ROCKET_PORT")
        .env("ROCKET_PROFILE", "release")
        .env("SESSION_SECRET", SECRET)
        .env("DATABASE_URL", "postgres://app:hunter2@db.example/app")
        .env("ROCKET_APP", "{guesses_per_user=7}")
        .env("LOG_FORMAT", " ");
    let settings = check(command);
    for (key, value, source) in [
        (
            "profile",
            json!("release"),
            "environment variable ROCKET_PROFILE",
        ),
        (
            "DATABASE_URL",
            json!("postgres://app@db.example/app"),
            "environment variable DATABASE_URL",
        ),
        (
            "SESSION_SECRET",
            json!("set"),
            "environment variable SESSION_SECRET",
        ),
        (
            "SESSION_ADMIN_TOKEN",
            json!("set"),
            ".env (SESSION_ADMIN_TOKEN)",
        ),
        ("port", json!(8001), "Rocket.toml"),
        ("address", json!("0.0.0.0"), ".env (ROCKET_ADDRESS)"),
        ("sessions.idle_timeout", json!("3h"), "Rocket.toml"),
        ("sessions.anonymous_idle_timeout", json!("3h"), "default"),
        ("sessions.absolute_timeout", json!("30days"), "default"),
        ("sessions.cookie.same_site", json!("strict"), "Rocket.toml"),
        ("sessions.cookie.name", json!("__Host-session"), "default"),
        ("app.origins", json!(["https://a.example"]), "Rocket.toml"),
        (
            "app.guesses_per_user",
            json!(7),
            "environment variable ROCKET_APP",
        ),
        ("app.metrics", json!("token"), "default"),
        // A blank value counts as not set.
        ("LOG_FORMAT", json!("text"), "default"),
    ] {
        assert_eq!(setting(&settings, key), (value, source.to_owned()), "{key}");
    }
    let all = Value::Array(settings).to_string();
    for secret in [SECRET, "hunter2", "an-admin-token-that-nobody-may-see-1"] {
        assert!(!all.contains(secret), "{secret} is shown: {all}");
    }
}

#[test]
fn config_check_shows_that_node_env_selected_the_profile() {
    let folder = folder();
    for (kind, profile, source) in [
        ("production", "release", "environment variable NODE_ENV"),
        ("test", "debug", "default"),
    ] {
        let mut command = program(folder.path());
        command
            .env_remove("ROCKET_PROFILE")
            .envs([("NODE_ENV", kind), ("SESSION_SECRET", SECRET)]);
        let settings = check(command);
        assert_eq!(
            setting(&settings, "profile"),
            (json!(profile), source.to_owned())
        );
    }
}

#[test]
fn config_check_creates_no_file_and_reads_an_existing_secret() {
    let folder = folder();
    let mut command = program(folder.path());
    command.args(["config", "check"]);
    let table = stdout(&run_to_end(command));
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("SESSION_SECRET").contains("not set"), "{table}");
    assert!(
        row("sessions.cookie.name ").contains(" session "),
        "{table}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join(".session-secret"), SECRET).unwrap();
    let mut command = program(folder.path());
    command.args(["config", "check"]);
    let table = stdout(&run_to_end(command));
    assert!(
        table.contains(".session-secret") && !table.contains(SECRET),
        "{table}"
    );
}

#[test]
fn config_check_fails_with_the_error_of_a_start() {
    let folder = folder();
    for (name, value) in [
        ("ROCKET_SESSIONS", r#"{idle_timout="1h"}"#),
        ("ROCKET_APP", "{guesses_per_user=0}"),
        ("ROCKET_PORT", "x"),
        ("SESSION_SECRET", "short"),
        ("DATABASE_URL", "mysql://x"),
        ("LOG_FORMAT", "xml"),
    ] {
        let error = |arguments: &[&str]| {
            let mut command = release(folder.path());
            command.args(arguments).env(name, value);
            let Output { status, stderr, .. } = run_to_end(command);
            assert_eq!(status.code(), Some(1), "{name}");
            String::from_utf8(stderr).unwrap()
        };
        let expected = error(&["serve"]);
        assert!(expected.starts_with("error: "), "{expected}");
        assert_eq!(error(&["config", "check"]), expected);
        assert_eq!(error(&["config", "check", "--json"]), expected);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Runs a health check of the server at this port.
fn healthcheck(folder: &Path, port: &str, arguments: &[&str]) -> Output {
    let mut command = program(folder);
    command
        .arg("healthcheck")
        .args(arguments)
        .env("ROCKET_PORT", port);
    run_to_end(command)
}

/// Returns the port of a server's URL.
fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

on_each_database! {
    fn a_health_check_asks_the_server_that_the_settings_name(database: &Database) {
        let server = Server::start(database);
        let port = port(server.url());
        let said = stdout(&healthcheck(database.folder(), port, &[]));
        assert_eq!(said, format!("ready: http://127.0.0.1:{port}/readyz\n"));
        // The server listens on one of all addresses.
        let mut command = program(database.folder());
        command.args(["healthcheck", "--port", port]).env("ROCKET_ADDRESS", "0.0.0.0");
        assert_eq!(stdout(&run_to_end(command)), said);
        let was = port.to_owned();
        server.terminate();
        let output = healthcheck(database.folder(), &was, &[]);
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("error: http://127.0.0.1:"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// Starts a server that sends each connection this answer, one byte per `pause`, and then stays
/// silent. Returns its address.
fn answering(answer: &'static str, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(&stream).lines().map_while(Result::ok);
            assert_eq!(request.next().as_deref(), Some("GET /readyz HTTP/1.1"));
            request.find(String::is_empty);
            for byte in answer.as_bytes() {
                let _ = stream.write_all(&[*byte]);
                std::thread::sleep(pause);
            }
            open.push(stream);
        }
    });
    port
}

#[test]
fn a_health_check_fails_if_the_server_is_not_ready_or_silent() {
    let folder = folder();
    let (at_once, slowly) = (Duration::ZERO, Duration::from_millis(50));
    for (answer, pause, word) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\n",
            at_once,
            "answered 503",
        ),
        ("SSH-2.0-OpenSSH 200 OK\r\n", at_once, "not HTTP/1.1"),
        ("", at_once, "no answer within 200ms"),
        ("HTTP/1.1", at_once, "no answer within 200ms"),
        ("HTTP/1.1 200 OK\r\n", slowly, "no answer within 200ms"),
    ] {
        let port = answering(answer, pause);
        let output = healthcheck(folder.path(), &port, &["--timeout", "200ms"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(word), "{answer:?}: {message}");
    }
    let mut command = program(folder.path());
    command.args(["healthcheck", "--port", "1"]);
    command.env("ROCKET_TLS", r#"{certs="a.pem",key="b.pem"}"#);
    assert_refused(command, &["tls", "http only"]);
    let mut command = program(folder.path());
    command.arg("healthcheck");
    assert_refused(command, &["port = 0", "--port"]);
}

#[test]
fn options_of_serve_override_the_address_and_port_of_the_settings() {
    let database = Database::new(Kind::Sqlite).unwrap();
    std::fs::write(
        database.folder().join("Rocket.toml"),
        "[debug]\naddress = \"192.0.2.1\"\nport = 1\n",
    )
    .unwrap();
    let mut command = program(database.folder());
    command
        .env("DATABASE_URL", database.raw_url())
        .env("ROCKET_PORT", "1")
        .args(["serve", "--address", "127.0.0.2", "--port", "0"]);
    let server = Server::spawn(command);
    assert!(
        server.url().starts_with("http://127.0.0.2:"),
        "{}",
        server.url()
    );
    assert_eq!(server.client().visit(), 1);
}

#[test]
fn completions_are_generated_for_each_shell() {
    let database = Database::new(Kind::Sqlite).unwrap();
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef rocket_diesel_sessions"),
        ("fish", "complete -c rocket_diesel_sessions"),
    ] {
        let script = run(&database, &["completions", shell]);
        assert!(script.contains(word), "{shell}");
        for command in ["healthcheck", "promote", "dry-run"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn help_names_the_environment_the_exit_codes_and_examples() {
    let database = Database::new(Kind::Sqlite).unwrap();
    for arguments in [
        &[][..],
        &["serve"],
        &["sessions", "list"],
        &["sessions", "revoke"],
        &["users", "add"],
        &["healthcheck"],
    ] {
        let help = run(&database, &[arguments, &["-h"]].concat());
        for word in ["DATABASE_URL", "Exit codes: 0 success", "Example", "--wait"] {
            assert!(help.contains(word), "{arguments:?}: {word}: {help}");
        }
    }
    let revoke = run(&database, &["sessions", "revoke", "-h"]);
    assert!(
        revoke.contains("revoke [OPTIONS] --user <NAME>"),
        "{revoke}"
    );
    let promote = run(&database, &["users", "promote", "-h"]);
    assert!(!promote.contains("--revoke"), "{promote}");
}
