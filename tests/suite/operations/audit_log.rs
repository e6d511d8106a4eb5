//! The audit log of the program in release: each event with its fields, and never a secret.

use std::process::Stdio;

use chrono::TimeDelta;
use rocket::serde::json::{Value, json};
use rocket_diesel_sessions::store::SessionStore;

use crate::support::command_line::on;
use crate::support::local::{ADMIN_TOKEN, SECRET};
use crate::support::log::{json_lines, released};
use crate::support::sessions::new_session;
use crate::support::visitor::Browser;
use crate::support::{Database, Server, wait_until};

const PASSWORD: &str = "sesame-open-PASSWORD";
const NEW_PASSWORD: &str = "another-one-PASSWORD";

/// Returns the audit log's lines so far.
fn audit(server: &Server) -> Vec<Value> {
    let mut lines = json_lines(&server.log());
    lines.retain(|line| line["target"] == "rocket_diesel_sessions::audit");
    lines
}

/// Waits for and returns the `n`th line of an event.
fn line(server: &Server, event: &str, n: usize) -> Value {
    let find = || {
        audit(server)
            .into_iter()
            .filter(|line| line["event"] == event)
            .nth(n)
    };
    wait_until(event, || find().is_some());
    find().unwrap()
}

/// Sends a request without a body as an administrator.
fn as_admin(server: &Server, method: &str, path: &str) -> (u16, String) {
    let request = request_of(method, &format!("{}{path}", server.url()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let mut response = agent.run(request).unwrap();
    (
        response.status().as_u16(),
        response.body_mut().read_to_string().unwrap(),
    )
}

fn request_of(method: &str, url: &str) -> ureq::http::Request<&'static str> {
    ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("")
        .unwrap()
}

fn enter(browser: &mut Browser, how: &str, username: &str, password: &str) -> (u16, Value) {
    let body = json!({"username": username, "password": password}).to_string();
    let reply = browser.post(&format!("/api/auth/{how}"), &body);
    (reply.status, reply.json())
}

/// Returns the handle of a browser's session.
fn handle(browser: &mut Browser) -> String {
    let json = browser.get("/api/session").json();
    json["session"]["id"].as_str().unwrap().to_owned()
}

/// Asserts the fields of a line. Missing fields are null.
fn assert_line(line: &Value, level: &str, user: &str, by: &str, session: &str) {
    assert_eq!(line["level"], level, "{line}");
    for (key, expected) in [("user_id", user), ("by", by), ("session", session)] {
        let expected = if expected.is_empty() {
            Value::Null
        } else {
            expected.into()
        };
        assert_eq!(line[key], expected, "{key}: {line}");
    }
}

on_each_database! {
    fn i8_each_audit_event_is_a_line_without_secrets(database: &Database) {
        let environment = [
            ("LOG_FORMAT", "json"),
            ("ROCKET_APP", "{guesses_per_user=2,guesses_per_address=1000}"),
        ];
        let server = released(database, &environment);
        let mut ada = server.client();
        let (status, body) = enter(&mut ada, "register", "ada", PASSWORD);
        assert_eq!(status, 201, "{body}");
        let id = body["user"]["id"].as_str().unwrap().to_owned();
        let session = handle(&mut ada);
        assert_line(&line(&server, "register", 0), "INFO", &id, &id, "");
        assert_line(&line(&server, "login", 0), "INFO", &id, &id, &session);

        let mut phone = server.client();
        assert_eq!(enter(&mut phone, "login", "ada", PASSWORD).0, 200);
        let second = handle(&mut phone);
        assert_line(&line(&server, "login", 1), "INFO", &id, &id, &second);
        assert_eq!(ada.delete(&format!("/api/account/sessions/{second}")).status, 204);
        assert_line(&line(&server, "session_revoked", 0), "INFO", &id, &id, &second);

        let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
        assert_eq!(ada.post("/api/account/password", &change.to_string()).status, 204);
        assert_line(&line(&server, "password_changed", 0), "INFO", &id, &id, &session);
        assert_eq!(ada.post("/api/auth/logout", "").status, 204);
        assert_line(&line(&server, "logout", 0), "INFO", &id, &id, &session);

        let mut guest = server.client();
        let reply = guest.post("/api/auth/login", r#"{"username":"ada","password":"wrong-PASSWORD"}"#);
        assert_eq!(reply.status, 401);
        let failed = line(&server, "login_failed", 0);
        assert_line(&failed, "WARN", &id, "", "");
        assert_eq!(failed["ip"], "127.0.0.1");
        assert_eq!(failed["request_id"], reply.request_id.unwrap());
        // An unknown name is not logged, because it may be a password.
        enter(&mut guest, "login", "nobody-PASSWORD", PASSWORD);
        assert_line(&line(&server, "login_failed", 1), "WARN", "", "", "");
        for _ in 0..3 {
            enter(&mut guest, "login", "ada", "wrong-PASSWORD");
        }
        assert_line(&line(&server, "login_limited", 0), "WARN", "", "", "");

        let mut eve = server.client();
        let (_, body) = enter(&mut eve, "register", "eve", PASSWORD);
        let eves = body["user"]["id"].as_str().unwrap().to_owned();
        let session = handle(&mut eve);
        assert_eq!(as_admin(&server, "DELETE", &format!("/api/session/sessions/{session}")).0, 204);
        assert_line(&line(&server, "session_revoked", 1), "INFO", &eves, "admin_token", &session);
        assert_eq!(enter(&mut eve, "login", "eve", PASSWORD).0, 200);
        let session = handle(&mut eve);
        assert_eq!(eve.delete("/api/account").status, 204);
        assert_line(&line(&server, "account_deleted", 0), "INFO", &eves, &eves, &session);
        assert_eq!(as_admin(&server, "DELETE", "/api/session/sessions").0, 200);
        assert_line(&line(&server, "sessions_cleared", 0), "INFO", "", "admin_token", "");

        let log = server.log_at_end();
        json_lines(&log);
        let cookies = [&ada, &phone, &eve].into_iter().filter_map(|browser| browser.cookie.clone());
        for secret in cookies.chain(["PASSWORD", ADMIN_TOKEN, SECRET].map(str::to_owned)) {
            assert!(!log.contains(&secret), "{secret}: {log}");
        }
    }

    fn only_a_sweep_that_deletes_sessions_is_an_audit_event(database: &Database) {
        let store = database.store();
        let expire = |number: usize| {
            let old = (0..number).map(|_| {
                let mut session = new_session(None);
                session.expires_at -= TimeDelta::days(2);
                session
            });
            store.create(&old.collect::<Vec<_>>()).unwrap();
        };
        expire(3);
        let environment =
            [("LOG_FORMAT", "json"), ("ROCKET_SESSIONS", r#"{cleanup_interval="1s"}"#)];
        let server = released(database, &environment);
        let swept = line(&server, "swept", 0);
        assert_line(&swept, "INFO", "", "sweeper", "");
        assert_eq!(swept["deleted"], 3, "{swept}");
        // Others find nothing to delete.
        let passes = || database.number("SELECT count(*) AS n FROM session_sweeps");
        let before = passes();
        wait_until("two more passes are made", || passes() >= before + 2);
        assert_eq!(audit(&server).len(), 1);
        drop(server);

        // A sweep by an administrator on the page. The server's own first pass may come in between.
        let server = released(database, &[("LOG_FORMAT", "json")]);
        assert_eq!(as_admin(&server, "POST", "/admin/sweep").0, 303);
        assert_eq!(audit(&server), [Value::Null; 0]);
        let by_admin = || audit(&server).into_iter().find(|line| line["by"] == "admin_token");
        wait_until("the administrator's sweep deletes", || {
            expire(2);
            as_admin(&server, "POST", "/admin/sweep");
            by_admin().is_some()
        });
        let swept = by_admin().unwrap();
        assert_line(&swept, "INFO", "", "admin_token", "");
        assert_eq!(swept["event"], "swept");
        assert_eq!(swept["deleted"], 2);
        assert!(swept["request_id"].is_string(), "{swept}");
        drop(server);

        expire(4);
        let run = || {
            let mut command = on(database, &["sweep"]);
            command.env("ROCKET_PROFILE", "release").env("LOG_FORMAT", "json");
            let output = command.stderr(Stdio::piped()).output().unwrap();
            assert!(output.status.success());
            json_lines(&String::from_utf8(output.stderr).unwrap())
        };
        let lines = run();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_line(&lines[0], "INFO", "", "command_line", "");
        assert_eq!(lines[0]["event"], "swept");
        assert_eq!(lines[0]["deleted"], 4);
        assert_eq!(run(), [Value::Null; 0]);
    }
}
