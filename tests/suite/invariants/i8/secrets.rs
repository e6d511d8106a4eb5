//! I8: neither the database's content nor the signing secret suffices to make a cookie, and logs
//! never contain a token.

use std::io::Write;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rocket::serde::json::{Value, from_str, json};
use rocket_diesel_sessions::store::{ListSessions, SessionStore, UserStore};
use uuid::Uuid;

use crate::support::command_line::on;
use crate::support::cookie::signed;
use crate::support::local::{ADMIN_TOKEN, SECRET, application};
use crate::support::{Database, Server, Visitor};

/// Returns the two halves of the token in a cookie.
fn halves(cookie: &str) -> (Uuid, [u8; 32]) {
    let (_, value) = cookie.split_once('=').unwrap();
    let (token, _) = value.split_once('.').unwrap();
    let token = URL_SAFE_NO_PAD.decode(token).unwrap();
    let session_id = Uuid::from_slice(&token[..16]).unwrap();
    (session_id, token[16..48].try_into().unwrap())
}

const PASSWORD: &str = "sesame-open-PASSWORD";
const NEW_PASSWORD: &str = "another-one-PASSWORD";
const WRONG_PASSWORD: &str = "not-the-right-PASSWORD";

/// Returns the database's URL with a password, which the tests' PostgreSQL ignores.
fn with_password(database: &Database) -> String {
    database.raw_url().replace("postgres@", "postgres:hunter2@")
}

/// Uses a server that logs as much as possible in all ways that involve secrets. Returns its log
/// and the secrets.
fn log_of_a_day(database: &Database, format: &str) -> (String, Vec<String>) {
    let url = with_password(database);
    let environment = [
        ("RUST_LOG", "trace"),
        ("ROCKET_LOG_LEVEL", "debug"),
        ("LOG_FORMAT", format),
        ("DATABASE_URL", &url),
    ];
    let server = Server::start_with(database, &environment);
    let mut secrets: Vec<String> = [SECRET, ADMIN_TOKEN, "hunter2", "PASSWORD"]
        .map(str::to_owned)
        .into();
    let mut visitor = server.client();
    let mut send = |path: &str, body: Value, expected: u16| {
        let reply = visitor.post(path, &body.to_string());
        assert_eq!(reply.status, expected, "{path}: {}", reply.body);
        secrets.extend(visitor.cookie.iter().flat_map(|cookie| parts(cookie)));
    };
    let username = format!("ada-{format}");
    let user = |password: &str| json!({"username": username, "password": password});
    send("/api/auth/register", user(PASSWORD), 201);
    send("/api/auth/login", user(WRONG_PASSWORD), 401);
    send("/api/auth/login", user(PASSWORD), 200);
    send(
        "/api/auth/register",
        json!({"username": PASSWORD.repeat(5), "password": "x"}),
        422,
    );
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    send("/api/account/password", change, 204);
    send("/api/auth/login", json!({"password": [PASSWORD]}), 422);
    let mut guest = server.client();
    for token in [ADMIN_TOKEN, "wrong-PASSWORD"] {
        let bearer = format!("Bearer {token}");
        guest.get_with_header("/api/session/sessions", "Authorization", &bearer);
    }
    let cookie = secrets.last().cloned().unwrap_or_default();
    guest.get_with("/api/session", format!("session={cookie}x").as_bytes());
    database.execute("UPDATE sessions SET data = '7'");
    assert_eq!(visitor.get("/api/session").status, 200);
    (server.log_at_end(), secrets)
}

/// Returns a cookie's value and its parts.
fn parts(cookie: &str) -> Vec<String> {
    let (_, value) = cookie.split_once('=').unwrap();
    let (token, signature) = value.split_once('.').unwrap();
    let (_, secret_half) = halves(cookie);
    let hex = secret_half.map(|byte| format!("{byte:02x}")).concat();
    let debug = format!("{secret_half:?}");
    [&hex, &debug, &token[24..], signature, token, value]
        .map(str::to_owned)
        .into()
}

on_each_database! {
    fn i8_the_database_and_the_secret_do_not_suffice_for_a_cookie(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let (session_id, secret_half) = halves(visitor.cookie.as_deref().unwrap());
        let query = ListSessions::new(rocket_diesel_sessions::Clock::now(&*clock), 10);
        let stored = database.store().list(&query).unwrap().pop().unwrap();
        assert_eq!(stored.session_id, session_id);
        assert_ne!(stored.token_hash.as_bytes(), &secret_half);
        for guess in [*stored.token_hash.as_bytes(), [0; 32]] {
            let mut thief = Visitor::with_cookie(&client, signed(session_id, guess, stored.id.as_str()));
            assert_eq!(thief.session(), Value::Null);
            assert_eq!(thief.visit(), 1);
        }
        // The owner's cookie is the one that `signed` makes of the right half.
        let mut owner = Visitor::with_cookie(&client, signed(session_id, secret_half, stored.id.as_str()));
        assert_eq!(owner.visit(), 2);
    }

    fn i8_logs_carry_no_secret_in_any_format(database: &Database) {
        for format in ["text", "json"] {
            let (log, secrets) = log_of_a_day(database, format);
            assert!(log.contains("/api/auth/login"), "requests are logged: {log}");
            if format == "json" {
                let is_json = |line: &str| from_str::<Value>(line).is_ok();
                assert!(log.lines().all(is_json), "{log}");
            }
            for secret in secrets {
                assert!(!log.contains(&secret), "{secret} is in the {format} log");
            }
        }
    }

    fn i8_the_command_line_logs_no_password(database: &Database) {
        database.store();
        for arguments in [["users", "add", "eve"], ["users", "password", "eve"]] {
            let mut command = on(database, &arguments);
            command.env("RUST_LOG", "trace").env("DATABASE_URL", with_password(database));
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let log = String::from_utf8(output.stderr).unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && log.contains("users"), "{log}");
            let hash = database.store().user_by_name("eve").unwrap().unwrap().password_hash;
            for secret in [PASSWORD, "hunter2", &hash] {
                assert!(!log.contains(secret) && !said.contains(secret), "{secret}: {log}");
            }
        }
    }

    fn i8_logs_never_carry_a_token(database: &Database) {
        let environment = [("RUST_LOG", "trace"), ("ROCKET_LOG_LEVEL", "debug")];
        let server = Server::start_with(database, &environment);
        let mut visitor = server.client();
        for _ in 0..3 {
            visitor.visit();
        }
        let cookie = visitor.cookie.clone().unwrap();
        visitor.get_with("/api/session", format!("{cookie}x").as_bytes());
        visitor.delete("/api/session");
        visitor.get_with("/api/session", cookie.as_bytes());
        let log = server.log_at_end();
        assert!(log.contains("SELECT"), "statements are logged: {log}");
        for leak in [parts(&cookie), vec![SECRET.to_owned()]].concat() {
            assert!(!log.contains(&leak), "{leak} is in the log");
        }
    }
}
