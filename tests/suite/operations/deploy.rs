//! The files in `deploy/`, used as an operator would: nginx in front of the server, and the systemd
//! unit's settings and checks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use rocket::serde::json::{Value, from_str};

use crate::support::local::{ADMIN_TOKEN, SECRET};
use crate::support::nginx::{ADDRESS, Nginx};
use crate::support::server::program;
use crate::support::site::{SEND, sign_out};
use crate::support::{Chromium, Database, Kind, Server, wait_until};

const PASSWORD: &str = "correct horse battery staple";

/// The settings that the systemd unit reads.
const ENVIRONMENT: &str = include_str!("../../../deploy/rocket_diesel_sessions.env");

/// The systemd unit.
const UNIT: &str = include_str!("../../../deploy/rocket_diesel_sessions.service");

/// Returns a database for a server in the release profile.
fn database() -> Database {
    Database::new(Kind::Sqlite).expect("SQLite needs no server")
}

/// Starts a server with the settings of the systemd unit, but its own database, port and secrets.
fn start(database: &Database) -> Server {
    start_with(database, &[])
}

/// Starts a server like [`start`], with further settings.
fn start_with(database: &Database, settings: &[(&str, &str)]) -> Server {
    let mut command = program(database.folder());
    let lines = ENVIRONMENT.lines().filter(|line| !line.starts_with('#'));
    command
        .envs(lines.filter_map(|line| line.split_once('=')))
        .env("DATABASE_URL", database.raw_url())
        .env("SESSION_SECRET", SECRET)
        .env("SESSION_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("ROCKET_PORT", "0")
        .env("LOG_FORMAT", "text")
        // For tests on a slow machine.
        .env("ROCKET_SESSIONS", r#"{timeout="20s"}"#)
        .env("RUST_LOG", "warn,rocket_diesel_sessions::request=debug")
        .envs(settings.iter().copied());
    let server = Server::spawn(command);
    assert!(server.start_message().contains("profile   release"));
    server
}

/// Returns the status of an answer.
fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn json(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").expect("a whole answer").1;
    from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Returns the values of a header of an answer. `name` is in lower case.
fn values<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let of_that_name = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    of_that_name.map(|(_, value)| value).collect()
}

/// Returns the account that the tests register, as JSON.
fn account() -> String {
    format!(r#"{{"username":"grace","password":"{PASSWORD}"}}"#)
}

/// Registers with further headers and returns the cookie on its own line.
fn register(nginx: &Nginx, headers: &str) -> String {
    let headers = format!("Content-Type: application/json\r\n{headers}");
    let answer = nginx.ask("POST /api/auth/register", &headers, &account());
    assert_eq!(status(&answer), "201", "{answer}");
    let cookies = values(&answer, "set-cookie");
    assert_eq!(cookies.len(), 1, "{answer}");
    assert!(cookies[0].starts_with("__Host-session="), "{answer}");
    assert!(cookies[0].contains("; Secure"), "{answer}");
    let pair = cookies[0].split(';').next().unwrap();
    format!("Cookie: {pair}\r\n")
}

#[test]
fn behind_nginx_the_visitors_address_is_the_one_nginx_sees() {
    // The settings as shipped, and the other header that the site sets.
    for settings in [&[][..], &[("ROCKET_IP_HEADER", "X-Forwarded-For")]] {
        let database = database();
        let server = start_with(&database, settings);
        let Some(nginx) = Nginx::start(&server) else {
            return;
        };
        let spoofed = "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\n\
                       Forwarded: for=203.0.113.9\r\n";
        let cookie = register(&nginx, spoofed);
        let headers = format!("{cookie}{spoofed}");
        let answer = nginx.ask("GET /api/account/sessions", &headers, "");
        assert_eq!(status(&answer), "200", "{answer}");
        let sessions = json(&answer);
        assert_eq!(sessions["sessions"][0]["ip"], ADDRESS, "{answer}");
        assert_eq!(sessions["sessions"][1], Value::Null, "{answer}");
    }
}

#[test]
fn behind_nginx_only_forms_of_the_own_site_are_accepted() {
    let database = database();
    let server = start(&database);
    let Some(nginx) = Nginx::start(&server) else {
        return;
    };
    let form = |origin: &str| {
        let headers =
            format!("Origin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let body = format!("username=grace&password={}", PASSWORD.replace(' ', "+"));
        nginx.ask("POST /register", &headers, &body)
    };
    // As older browsers send it, without Sec-Fetch-Site.
    let answer = form("https://evil.example");
    assert_eq!(status(&answer), "403", "{answer}");
    let answer = form(&nginx.url());
    assert_eq!(status(&answer), "303", "{answer}");
    assert_eq!(values(&answer, "location"), ["/account"], "{answer}");
}

#[test]
fn behind_nginx_a_browser_keeps_its_session_and_sees_live_figures() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = database();
    let server = start(&database);
    let Some(nginx) = Nginx::start(&server) else {
        return;
    };
    let tab = chromium.open_at(&nginx.url());
    tab.goto("/register");
    tab.fill("username", "grace");
    tab.fill("password", PASSWORD);
    tab.click(SEND);
    assert_eq!(tab.path(), "/account");
    database.execute("UPDATE users SET is_admin = TRUE");
    tab.goto("/admin");
    let created = || tab.text("[data-figure=created]").parse::<u32>().unwrap();
    let before = created();
    let answer = nginx.ask("GET /api/session/test-session", "", "");
    assert_eq!(status(&answer), "200", "{answer}");
    wait_until("the new session is counted", || created() > before);
    sign_out(&tab);
    tab.goto("/account");
    assert_eq!(tab.path(), "/login");
}

#[test]
fn behind_nginx_live_figures_are_not_buffered() {
    let database = database();
    let server = start(&database);
    let Some(nginx) = Nginx::start(&server) else {
        return;
    };
    let mut visitor = nginx.connect();
    let host = nginx.host();
    visitor.send(&format!(
        "GET /admin/live HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
    ));
    wait_until("two events have come", || {
        visitor.received().matches("data:").count() > 1
    });
    assert_eq!(status(&visitor.received()), "200");
    assert!(visitor.is_open(), "{}", visitor.received());
}

#[test]
fn behind_nginx_metrics_are_closed_in_all_spellings() {
    let database = database();
    let server = start(&database);
    let Some(nginx) = Nginx::start(&server) else {
        return;
    };
    let token = format!("Bearer {ADMIN_TOKEN}");
    let mut prometheus = server.client();
    let direct = prometheus.get_with_header("/metrics", "Authorization", &token);
    assert_eq!(direct.status, 200);
    for path in [
        "/metrics",
        "/metrics?",
        "/metrics?x=/",
        "/metrics/",
        "//metrics",
        "///metrics//",
        "/./metrics",
        "/x/../metrics",
        "/metrics/.",
        "/%6detrics",
        "/%6Detric%73/",
        "/metrics#x",
        "/%2e%2e/metrics",
        "/%2Fmetrics",
        "http://127.0.0.1/metrics",
    ] {
        for headers in ["", &format!("Authorization: {token}\r\n")] {
            let answer = nginx.ask(&format!("GET {path}"), headers, "");
            let status = status(&answer);
            assert!(["400", "404"].contains(&status), "{path}: {answer}");
            assert!(!answer.contains("sessions_"), "{path}: {answer}");
        }
    }
}

#[test]
fn nginx_closes_connections_with_incomplete_requests() {
    let database = database();
    let server = start(&database);
    let shortened = [
        ("client_header_timeout     10s", "client_header_timeout 2s"),
        ("client_body_timeout       10s", "client_body_timeout 2s"),
    ];
    let Some(nginx) = Nginx::start_with(&server, &shortened) else {
        return;
    };
    let (host, account) = (nginx.host(), account());
    let head = format!(
        "POST /api/auth/register HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n",
        account.len()
    );
    let half_body = &account[..account.len() / 2];
    let halves = [
        String::new(),
        head.clone(),
        format!("{head}\r\n{half_body}"),
    ];
    let mut slow = halves.map(|half| {
        let mut visitor = nginx.connect();
        visitor.send(&half);
        visitor
    });
    for visitor in &mut slow {
        visitor.wait_for_end();
    }
    // The application has seen none of them.
    let log = server.log_at_end();
    assert!(!log.contains("/api/auth/register"), "{log}");
    assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
}

#[test]
fn nginx_redirects_to_https_and_serves_no_other_host_name() {
    let database = database();
    let server = start(&database);
    let Some(nginx) = Nginx::start(&server) else {
        return;
    };
    let mut plain = TcpStream::connect((Ipv4Addr::LOCALHOST, nginx.http_port())).unwrap();
    plain
        .write_all(
            b"GET /login?x=1 HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "301", "{answer}");
    let location = ["https://127.0.0.1/login?x=1"];
    assert_eq!(values(&answer, "location"), location, "{answer}");

    for host in ["localhost", "elsewhere.example", "[::1]"] {
        let mut visitor = nginx.connect();
        visitor.send(&format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        visitor.wait_for_end();
        assert_eq!(status(&visitor.received()), "421", "{host}");
    }
    let answer = nginx.ask("GET /", "", "");
    assert_eq!(status(&answer), "200", "{answer}");
}

#[test]
fn systemd_accepts_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("rocket_diesel_sessions.service");
    let installed = "/usr/local/bin/rocket_diesel_sessions";
    assert!(UNIT.contains(installed));
    let program = env!("CARGO_BIN_EXE_rocket_diesel_sessions");
    std::fs::write(&unit, UNIT.replace(installed, program)).unwrap();
    if let Some(said) = verify(&unit) {
        assert_eq!(said, Vec::<String>::new());
        // The tool ignores unknown settings, so this is how a misspelled setting looks.
        let misspelled = UNIT
            .replace(installed, program)
            .replace("ProtectHome=", "ProtectHomes=");
        std::fs::write(&unit, misspelled).unwrap();
        assert_eq!(verify(&unit).map(|said| said.len()), Some(1));
    }
}

/// Returns the complaints of `systemd-analyze verify` about a unit, or `None` if that program is
/// missing.
fn verify(unit: &Path) -> Option<Vec<String>> {
    let Ok(output) = Command::new("systemd-analyze")
        .arg("verify")
        .arg(unit)
        .output()
    else {
        eprintln!("systemd-analyze is not installed: the unit is not verified");
        return None;
    };
    // Units of this machine are irrelevant.
    let name = unit.file_name()?.to_str()?.to_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_ours = said.lines().filter(|line| line.contains(&name));
    Some(of_ours.map(str::to_owned).collect())
}
