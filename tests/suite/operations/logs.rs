//! The log: its content in release, its lines about an outage, and its JSON format.

use std::path::Path;
use std::process::Command;

use rocket::config::LogLevel;
use rocket::serde::json::Value;
use rocket_diesel_sessions_app::settings::logging::{LogFormat, init};

use crate::support::log::{json_lines, released};
use crate::support::server::{program, run_to_end};
use crate::support::{Cluster, Database, Kind, Server, wait_until};

/// Returns the messages of a level.
fn messages<'l>(lines: &'l [Value], level: &str) -> Vec<&'l str> {
    let is_of_level = |line: &&Value| line["level"] == level;
    let message = |line: &'l Value| line["message"].as_str().unwrap_or_default();
    lines.iter().filter(is_of_level).map(message).collect()
}

on_each_database! {
    fn a_release_server_logs_its_start_requests_and_end_as_json(database: &Database) {
        let server = released(database, &[("LOG_FORMAT", "json")]);
        let address = server.url().to_owned();
        let started = &json_lines(server.start_message())[0];
        assert_eq!(started["message"], "started");
        assert_eq!(started["profile"], "release");
        assert_eq!(started["address"], address);
        let url = server.url().to_owned();
        for path in ["/", "/nothing?token=hunter2", "/api/session/sessions", "/healthz"] {
            server.client().get(path);
        }
        let lines = json_lines(&server.log_at_end());
        let said = messages(&lines, "INFO");
        let expected =
            ["starting version", "ran migration", &format!("listening on {url}"), "stopping", "stopped"];
        let mut found = said.iter();
        for beginning in expected {
            let is_next = |message: &&str| message.starts_with(beginning);
            assert!(found.any(is_next), "{beginning} is missing, or not in its place: {said:?}");
        }
        let warned = lines.iter().filter(|line| line["level"] != "INFO");
        assert_eq!(warned.count(), 0, "{lines:?}");
    }

    fn a_release_server_logs_its_start_requests_and_end_as_text(database: &Database) {
        let server = released(database, &[]);
        assert!(server.start_message().contains("\n  profile   release\n"));
        server.client().get("/api/session/sessions");
        let log = server.log_at_end();
        for part in ["starting version", "ran migration", "listening on http", "stopping", "stopped"] {
            let lines = log.lines().filter(|line| line.contains(part) && line.contains(" INFO "));
            assert!(lines.count() > 0, "{part} is missing: {log}");
        }
        assert!(!log.contains("Request guard") && !log.contains("WARN"), "{log}");
    }

    fn no_log_line_contains_the_query_of_a_request(database: &Database) {
        let example = include_str!("../../../.env.example");
        let example = example.lines().find_map(|line| line.strip_prefix("#RUST_LOG=")).unwrap();
        for level in [example, "trace"] {
            let environment =
                [("RUST_LOG", level), ("ROCKET_LOG_LEVEL", "debug"), ("LOG_FORMAT", "json")];
            let server = Server::start_with(database, &environment);
            let mut client = server.client();
            for path in [
                "/nothing?token=hunter2",
                "/api/session?token=hunter2",
                "/api/session/sessions?limit=hunter2",
                "/admin?q=hunter2",
                "/account?after=hunter2",
                "/login?next=hunter2",
            ] {
                client.get(path);
            }
            client.delete("/api/session/sessions/x?token=hunter2");
            client.post("/api/auth/login?token=hunter2", "{}");
            client.post("/login?token=hunter2", "");
            let log = server.log_at_end();
            assert!(!log.contains("hunter2"), "{level}: {log}");
            let answered = json_lines(&log);
            let answered = answered.iter().filter(|line| line["path"] == "/nothing");
            assert_eq!(answered.count(), 1, "{level}: requests are logged: {log}");
        }
    }
}

#[test]
fn an_outage_is_logged_once_at_its_start_and_once_at_its_end() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let server = released(&database, &[("LOG_FORMAT", "json")]);
    let mut visitor = server.client();
    visitor.visit();
    cluster.tell("stop");
    let mut refused = 0;
    wait_until("300 requests are refused", || {
        let reply = visitor.get("/api/session/test-session");
        refused += u64::from(reply.status == 503);
        refused == 300
    });
    // A visitor who may not see a page causes no line either.
    for _ in 0..50 {
        let reply = server.client().get("/api/session/sessions");
        assert_eq!(reply.status, 401, "{}", reply.body);
    }
    cluster.tell("start");
    wait_until("service is back", || {
        let reply = visitor.get("/api/session/test-session");
        refused += u64::from(reply.status == 503);
        reply.status == 200
    });
    let log = server.log_at_end();
    let lines = json_lines(&log);
    let warned = messages(&lines, "WARN");
    assert_eq!(warned.len(), 2, "{log}");
    assert!(warned[0].starts_with("the database fails"), "{log}");
    assert!(!warned[0].contains('\n'), "{log}");
    assert!(warned[1].starts_with("the database is back after"), "{log}");
    let counted: u64 = warned[1]
        .strip_suffix(" requests were refused")
        .and_then(|text| text.rsplit(' ').next()?.parse().ok())
        .unwrap();
    // The first requests may have failed before the outage was known.
    assert!(
        (refused - 10..=refused).contains(&counted),
        "{refused}: {log}"
    );
    assert_eq!(messages(&lines, "ERROR"), [""; 0], "{log}");
}

/// Runs the program so that it cannot start, and returns its exit code and the lines that it
/// prints.
fn failure(folder: &Path, change: impl FnOnce(&mut Command)) -> (Option<i32>, Vec<Value>) {
    let mut command = program(folder);
    change(&mut command);
    let output = run_to_end(command);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let log = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), json_lines(&log))
}

#[test]
fn the_reason_of_a_failed_start_is_a_json_line_too() {
    let folder = tempfile::tempdir().unwrap();
    let json = |command: &mut Command| {
        command.env("LOG_FORMAT", "json");
    };
    let last = |lines: &[Value]| {
        let line = lines.last().unwrap();
        assert_eq!(line["level"], "ERROR", "{line}");
        line["message"].as_str().unwrap().to_owned()
    };
    // Before logging starts, after it has started, and for wrong usage.
    let (code, lines) = failure(folder.path(), |command| {
        json(command);
        command.env("ROCKET_LOG_LEVEL", "loud");
    });
    assert!(
        code == Some(1) && last(&lines).contains("log_level"),
        "{lines:?}"
    );
    let (code, lines) = failure(folder.path(), |command| {
        json(command);
        command.env("DATABASE_URL", "mysql://localhost");
    });
    assert!(
        code == Some(1) && last(&lines).contains("mysql"),
        "{lines:?}"
    );
    let (code, lines) = failure(folder.path(), |command| {
        json(command);
        command.arg("surf");
    });
    assert!(
        code == Some(2) && last(&lines).contains("'surf'"),
        "{lines:?}"
    );
    // If a file sets the format.
    std::fs::write(folder.path().join(".env"), "LOG_FORMAT=json\n").unwrap();
    let (code, lines) = failure(folder.path(), |command| {
        command.env("DATABASE_URL", "mysql://localhost");
    });
    assert!(
        code == Some(1) && last(&lines).contains("mysql"),
        "{lines:?}"
    );
}

#[test]
fn panics_and_records_of_libraries_are_json_lines() {
    // In a separate process, because the panic hook is global.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "operations::logs::a_process_that_panics",
            "--ignored",
            "--nocapture",
        ])
        .env("RUST_LOG", "warn");
    let output = run_to_end(command);
    assert!(output.status.success());
    let lines = json_lines(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(lines.len(), 2, "{lines:?}");
    let [record, panic] = &lines[..] else {
        unreachable!()
    };
    assert_eq!(record["target"], "a::library");
    assert_eq!(record["message"], "its words");
    assert_eq!(panic["message"], "panicked: two\nlines");
    assert_eq!(panic["level"], "ERROR");
    assert_eq!(panic["thread"], "doomed");
    assert!(
        panic["location"].as_str().unwrap().contains("logs.rs:"),
        "{panic}"
    );
}

#[test]
#[ignore = "is run by the test before, in a process of its own"]
fn a_process_that_panics() {
    init(LogLevel::Normal, LogFormat::Json);
    rocket::log::private::warn!(target: "a::library", "its words");
    // Two guards of Rocket, which would log a line per request.
    rocket::log::private::warn!(target: "rocket_diesel_sessions_app::api::_", "a guard failed");
    rocket::log::private::error!(target: "rocket::server::_", "No matching routes for /x?y.");
    let doomed = std::thread::Builder::new().name("doomed".to_owned());
    assert!(
        doomed
            .spawn(|| panic!("two\nlines"))
            .unwrap()
            .join()
            .is_err()
    );
}

#[test]
fn the_metrics_show_that_the_database_is_down() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let server = Server::start_with(&database, &[("ROCKET_SESSIONS", r#"{timeout="1s"}"#)]);
    let up = || {
        let metrics = server.client().get("/metrics").body;
        crate::support::metric_of(&metrics, "sessions_database_up")
    };
    server.client().visit();
    assert_eq!(up(), 1);
    cluster.tell("stop");
    wait_until("it is down", || {
        server.client().get("/api/session/test-session");
        up() == 0
    });
    cluster.tell("start");
    wait_until("it is up", || up() == 1);
}

#[test]
fn the_audit_log_is_written_even_where_rocket_logs_nothing() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = released(
        &database,
        &[("ROCKET_LOG_LEVEL", "off"), ("LOG_FORMAT", "json")],
    );
    server.client().get("/api/session/sessions");
    let body = r#"{"username":"ada","password":"not-a-password-of-hers"}"#;
    assert_eq!(server.client().post("/api/auth/login", body).status, 401);
    let lines = json_lines(&server.log_at_end());
    let targets: Vec<_> = lines.iter().map(|line| &line["target"]).collect();
    assert_eq!(targets, ["rocket_diesel_sessions::audit"], "{lines:?}");
}
