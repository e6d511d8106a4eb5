//! The HTTP contract.

use chrono::TimeDelta;
use rocket::http::{Header, Method, Status};
use rocket::serde::json::{Value, json};

use crate::support::local::{ADMIN_TOKEN, application, application_of, figment, settings};
use crate::support::{Database, Kind, Visitor};

const TEST_SESSION: &str = "/api/session/test-session";
const SESSIONS: &str = "/api/session/sessions";

on_each_database! {
    fn the_test_session_route_creates_a_session_and_counts(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        let first = visitor.get(TEST_SESSION);
        assert_eq!(first.status, Status::Ok);
        let session_id = first.json()["sessionId"].clone();
        assert_eq!(first.json(), json!({"sessionId": session_id, "visitCount": 1}));
        assert_eq!(visitor.visit(), 2);
        assert_eq!(visitor.session()["sessionId"], session_id);
        assert_eq!(Visitor::new(&client).visit(), 1);
        assert_eq!(database.sessions(), 2);
    }

    fn the_current_session_has_the_fields_of_the_contract(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        assert_eq!(visitor.get("/api/session").json(), json!({"session": null}));
        visitor.visit();
        let session = visitor.session();
        let keys: Vec<&String> = session.as_object().unwrap().keys().collect();
        let contract = ["createdAt", "data", "expiresAt", "id", "sessionId", "updatedAt", "userId"];
        assert_eq!(keys, contract);
        assert_eq!(session["data"]["visitCount"], 1);
        assert_eq!(session["userId"], Value::Null);
    }

    fn data_is_merged_field_by_field(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        let answer = visitor.patch("/api/session/data", r#"{"displayName":"Zoë"}"#);
        assert_eq!(answer.status, Status::Ok);
        assert_eq!(answer.json()["session"]["data"]["displayName"], "Zoë");
        visitor.visit();
        visitor.patch("/api/session/data", r#"{"theme":"dark"}"#);
        let expected = json!({"displayName": "Zoë", "theme": "dark", "visitCount": 1});
        assert_eq!(visitor.session()["data"], expected);
        visitor.patch("/api/session/data", r#"{"displayName":null}"#);
        assert_eq!(visitor.session()["data"]["displayName"], Value::Null);
    }

    fn destroying_ends_the_session_and_the_cookie(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let cookie = visitor.cookie.clone().unwrap();
        let answer = visitor.delete("/api/session");
        assert_eq!((answer.status, answer.body.as_str()), (Status::NoContent, ""));
        let removal = answer.header("set-cookie").unwrap();
        assert!(removal.starts_with("session=;") && removal.contains("Max-Age=0"), "{removal}");
        assert_eq!(database.sessions(), 0);
        assert_eq!(Visitor::with_cookie(&client, cookie).session(), Value::Null);

        let answer = Visitor::new(&client).delete("/api/session");
        assert_eq!((answer.status, answer.header("set-cookie")), (Status::NoContent, None));
    }

    fn the_list_is_paged_newest_first(database: &Database) {
        let (client, clock) = application(database, "");
        let mut made = Vec::new();
        for _ in 0..5 {
            clock.advance(chrono::TimeDelta::milliseconds(5));
            let mut visitor = Visitor::new(&client);
            visitor.visit();
            made.push(visitor.session()["id"].clone());
        }
        made.reverse();

        let mut admin = Visitor::new(&client);
        let mut listed = Vec::new();
        let mut after = String::new();
        loop {
            let page = admin.get(&format!("{SESSIONS}?limit=2{after}")).json();
            let sessions = page["sessions"].as_array().unwrap();
            assert!((1..=2).contains(&sessions.len()));
            listed.extend(sessions.iter().map(|session| session["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(listed, made);
        let all = admin.get(SESSIONS).json();
        assert_eq!(all["sessions"].as_array().unwrap().len(), 5);
        assert_eq!(all["next"], Value::Null);
        let nobodys = admin.get(&format!("{SESSIONS}?user=nobody")).json();
        assert_eq!(nobodys, json!({"sessions": [], "next": null}));
    }

    fn administrators_end_one_session_or_all(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitors = [Visitor::new(&client), Visitor::new(&client), Visitor::new(&client)];
        for visitor in &mut visitors {
            visitor.visit();
        }
        let id = visitors[0].session()["id"].as_str().unwrap().to_owned();
        let mut admin = Visitor::new(&client);
        assert_eq!(admin.delete(&format!("{SESSIONS}/{id}")).status, Status::NoContent);
        assert_eq!(visitors[0].session(), Value::Null);
        assert_ne!(visitors[1].session(), Value::Null);
        let again = admin.delete(&format!("{SESSIONS}/{id}"));
        assert_eq!((again.status, again.message().is_empty()), (Status::NotFound, false));
        assert_eq!(admin.delete(SESSIONS).json(), json!({"deleted": 2}));
        assert_eq!(visitors[1].session(), Value::Null);
        assert_eq!(database.sessions(), 0);
    }

    fn readiness_needs_the_database(database: &Database) {
        let (client, _) = application(database, "timeout = '300ms'");
        let mut anyone = Visitor::new(&client);
        assert_eq!(anyone.get("/healthz").json(), json!({"status": "ok"}));
        assert_eq!(anyone.get("/readyz").json(), json!({"status": "ok"}));
        if database.kind() == Kind::Postgres {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", database.name());
            database.execute_on_server(&drop);
            let answer = anyone.get("/readyz");
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.json()["error"]["code"], "unavailable");
            assert_eq!(anyone.get("/healthz").status, Status::Ok);
        }
    }
}

/// Routes for administrators, with their methods.
const ADMIN_ROUTES: [(Method, &str); 3] = [
    (Method::Get, SESSIONS),
    (Method::Delete, SESSIONS),
    (Method::Delete, "/api/session/sessions/some-id"),
];

fn with_authorization(
    client: &rocket::local::blocking::Client,
    method: Method,
    path: &str,
    value: Option<&str>,
) -> Status {
    let mut request = client.req(method, path.to_owned());
    if let Some(value) = value {
        request.add_header(Header::new("Authorization", value.to_owned()));
    }
    request.dispatch().status()
}

#[test]
fn administration_needs_the_token_outside_debug_on_loopback() {
    let database = Database::new(Kind::Sqlite).unwrap();
    for change in [("profile", "release"), ("address", "0.0.0.0")] {
        let mut settings = settings(&database, "");
        settings.figment = match change {
            ("profile", profile) => figment(profile, ""),
            (key, value) => figment("debug", "").merge((key, value)),
        };
        let (client, _) = application_of(settings, database.store());
        for (method, path) in ADMIN_ROUTES {
            let good = format!("Bearer {ADMIN_TOKEN}");
            for bad in [None, Some("Bearer"), Some("Bearer x"), Some(ADMIN_TOKEN)] {
                let status = with_authorization(&client, method, path, bad);
                assert_eq!(
                    status,
                    Status::Unauthorized,
                    "{change:?} {method} {path} {bad:?}"
                );
            }
            let status = with_authorization(&client, method, path, Some(&good));
            assert_ne!(status, Status::Unauthorized, "{change:?} {method} {path}");
        }
    }
}

#[test]
fn a_wrong_token_is_refused_even_where_none_is_needed() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    for (method, path) in ADMIN_ROUTES {
        let status = with_authorization(&client, method, path, Some("Bearer x"));
        assert_eq!(status, Status::Unauthorized);
        assert_ne!(
            with_authorization(&client, method, path, None),
            Status::Unauthorized
        );
    }
}

#[test]
fn the_cookie_is_http_only_and_in_release_a_secure_host_cookie() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    let answer = Visitor::new(&client).get(TEST_SESSION);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    for attribute in [
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=2592000",
    ] {
        assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("Cookie"));
}

#[test]
fn errors_of_the_api_are_json_even_for_browsers() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let html = Header::new("Accept", "text/html");
    let api = client.get("/api/nothing").header(html.clone()).dispatch();
    assert_eq!(api.content_type(), Some(rocket::http::ContentType::JSON));
    let page = client.get("/nothing").header(html).dispatch();
    assert_eq!(page.content_type(), Some(rocket::http::ContentType::HTML));
    assert_eq!(page.status(), Status::NotFound);
}

on_each_database! {
    fn the_status_says_how_long_the_session_lives_and_is_no_activity(database: &Database) {
        let (client, clock) = application(database, "touch_interval = '0s'");
        let mut visitor = Visitor::new(&client);
        let none = json!({"idleSeconds": null, "absoluteSeconds": null});
        assert_eq!(visitor.get("/api/session/status").json(), none);
        assert_eq!(visitor.cookie, None);
        visitor.visit();
        for seconds in [0, 60, 120] {
            let status = visitor.get("/api/session/status").json();
            let expected = json!({
                "idleSeconds": 86_400 - seconds,
                "absoluteSeconds": 30 * 86_400 - seconds
            });
            assert_eq!(status, expected);
            clock.advance(TimeDelta::seconds(60));
        }
    }
}
