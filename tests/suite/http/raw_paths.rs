//! Malformed paths and queries, and what they must not do.

use std::io::{Read, Write};
use std::net::TcpStream;

use rocket::http::{Accept, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::{Value, json};

use crate::support::accounts::{registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, Answer, application, application_of, figment, settings};
use crate::support::{Database, Kind, Server, Visitor};

const SESSIONS: &str = "/api/session/sessions";

/// Sends a request with the administrators' token.
fn as_admin(client: &Client, method: Method, path: &str) -> Answer {
    let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let request = client.req(method, path.to_owned());
    request.header(token).dispatch().into()
}

/// Returns the application without open administration.
fn closed(database: &Database) -> Client {
    let mut settings = settings(database, "");
    settings.figment = figment("release", "");
    application_of(settings, database.store()).0
}

on_each_database! {
    fn a_query_ends_only_the_sessions_of_its_user(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        let mut bob = registered(&client, "bob");
        let mut stranger = Visitor::new(&client);
        stranger.visit();
        let user = ada.user_id().as_str().unwrap().to_owned();
        for query in [
            "",
            "user",
            "user=",
            "user=%20",
            "users=x",
            "User=x",
            "id=x",
            "limit=1",
            "all=true",
            "after=x",
            "&",
            &format!("user={user}&limit=1"),
            &format!("user={user}&user={user}"),
            &format!("limit=1&user={user}"),
            &format!("&user={user}"),
            "user=%ff",
        ] {
            let answer = as_admin(&client, Method::Delete, &format!("{SESSIONS}?{query}"));
            assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
            assert!(answer.message().contains("user=<id>"), "{query}: {}", answer.body);
            assert_eq!(database.sessions(), 4, "{query}");
        }
        for nobody in ["nobody", "%00", &user[1..], &format!("{user}%20")] {
            let answer = as_admin(&client, Method::Delete, &format!("{SESSIONS}?user={nobody}"));
            assert_eq!(answer.json(), json!({"deleted": 0}), "{nobody}");
        }
        let answer = as_admin(&client, Method::Delete, &format!("{SESSIONS}?user={user}"));
        assert_eq!(answer.json(), json!({"deleted": 2}));
        assert_eq!((ada.session(), phone.session()), (Value::Null, Value::Null));
        assert!(bob.user_id().is_string());
        assert_eq!(stranger.visit(), 2);
        assert_eq!(as_admin(&client, Method::Delete, SESSIONS).json(), json!({"deleted": 2}));
        // Strangers learn nothing about the query.
        let release = closed(database);
        for query in ["", "?user=x", "?x"] {
            let answer = Visitor::new(&release).delete(&format!("{SESSIONS}{query}"));
            assert_eq!(answer.status, Status::Unauthorized, "{query}");
        }
    }

    fn an_empty_segment_ends_nothing(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        for path in [
            "/api/session/sessions/",
            "/api/session/sessions//",
            "/api/session//sessions",
            "//api/session/sessions",
            "/api//session/sessions",
            "/api/session/sessions//x",
            "/api/session/sessions/?user=x",
        ] {
            let answer = as_admin(&client, Method::Delete, path);
            assert_eq!(answer.status, Status::NotFound, "{path}");
            assert_eq!(answer.json()["error"]["code"], "not_found", "{path}");
        }
        for path in [
            "/api/account/",
            "/api/account//",
            "//api/account",
            "/api//account",
            "/api/account/sessions/",
            "/api/account//sessions",
            "/api/session/",
            "/api//session",
        ] {
            assert_eq!(ada.delete(path).status, Status::NotFound, "{path}");
        }
        for path in ["/account/delete/", "/account//delete", "/admin/clear/", "/logout/", "//end"] {
            let answer = ada.post_form(path, "word=clear&password=correct+horse+battery");
            assert_eq!(answer.status, Status::NotFound, "{path}");
        }
        for path in ["//", "/login/", "//login", "/healthz/", "/static/base.css/", "/admin/"] {
            assert_eq!(ada.get(path).status, Status::NotFound, "{path}");
        }
        for path in ["/api/account?", "/api/account?id=x", "/api/account/sessions?id=x",
            "/api/account/sessions?", "/api/session?x=1"] {
            assert_eq!(ada.delete(path).status, Status::UnprocessableEntity, "{path}");
        }
        assert!(phone.user_id().is_string() && ada.user_id().is_string());
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 1);
        for path in ["/", "/static/base.css", "/static/icon.svg?v=x", "/login", "/healthz", "/?x"] {
            assert_eq!(Visitor::new(&client).get(path).status, Status::Ok, "{path}");
        }
    }

    fn a_signed_in_administrator_needs_the_password_again(database: &Database) {
        use chrono::TimeDelta;
        let mut settings = settings(database, "");
        settings.figment = figment("release", "");
        let (client, clock) = application_of(settings, database.store());
        let mut ruth = registered(&client, "ruth");
        database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
        let mut ada = registered(&client, "ada");
        let (id, user) = (
            ada.session()["id"].as_str().unwrap().to_owned(),
            ada.user_id().as_str().unwrap().to_owned(),
        );
        clock.advance(TimeDelta::minutes(11));
        let one = format!("{SESSIONS}/{id}");
        for path in [SESSIONS, &one, &format!("{SESSIONS}?user={user}")] {
            let answer = ruth.delete(path);
            assert_eq!(answer.status, Status::Forbidden, "{path}");
            assert_eq!(answer.json()["error"]["code"], "reauthentication_required", "{path}");
        }
        assert_eq!(ruth.get(SESSIONS).status, Status::Ok, "to look needs none");
        assert_eq!(database.sessions(), 2);

        // The pages ask for it and then continue with the action.
        let revoke = format!("/admin/sessions/{id}/revoke");
        let asked = ruth.post_form(&revoke, "q=ad%26a&after=");
        assert_eq!(asked.status, Status::Forbidden);
        for part in [
            format!("action=\"{revoke}\""),
            "name=\"q\" value=\"ad&#38;a\"".to_owned(),
            "name=\"password\"".to_owned(),
        ] {
            assert!(asked.body.contains(&part), "{part}: {}", asked.body);
        }
        let asked = ruth.post_form("/admin/clear", "word=clear");
        assert_eq!(asked.status, Status::Forbidden);
        assert!(asked.body.contains("name=\"word\" value=\"clear\""), "{}", asked.body);
        for path in [&revoke, "/admin/clear"] {
            let wrong = ruth.post_form(path, "word=clear&password=wrong");
            assert_eq!(wrong.status, Status::Unauthorized, "{path}");
            assert!(wrong.body.contains("role=\"alert\""), "{}", wrong.body);
        }
        assert_eq!(ruth.post_form("/admin/sweep", "").status, Status::SeeOther, "harmless");
        assert_eq!(database.sessions(), 2);
        let done = ruth.post_form(&revoke, "q=ad%26a&password=correct+horse+battery");
        assert_eq!(done.header("location"), Some("/admin/sessions?q=ad%26a#sessions"));
        assert_eq!(ada.session(), Value::Null);
        // The password was just given.
        let mut bob = registered(&client, "bob");
        let id = bob.session()["id"].as_str().unwrap().to_owned();
        assert_eq!(ruth.delete(&format!("{SESSIONS}/{id}")).status, Status::NoContent);
        clock.advance(TimeDelta::minutes(11));
        let form = "word=clear&password=correct+horse+battery";
        assert_eq!(ruth.post_form("/admin/clear", form).status, Status::SeeOther);
        assert_eq!(database.sessions(), 0);
        // The token needs none.
        registered(&client, "eve");
        assert_eq!(as_admin(&client, Method::Delete, SESSIONS).json(), json!({"deleted": 1}));
    }
}

/// Sends the path as it is on the wire, which clients would normalize.
#[test]
fn paths_are_checked_as_they_are_sent() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    let mut visitor = server.client();
    visitor.visit();
    let address = server.url().strip_prefix("http://").unwrap();
    for (target, status) in [
        ("/api/session/sessions/", "404"),
        ("/api/session/sessions//", "404"),
        ("//api/session/sessions", "404"),
        ("/api/session//sessions?user=x", "404"),
        ("/api/session/sessions?", "422"),
        ("/api/session/sessions?user=", "422"),
        ("/api/session/./sessions/", "404"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "DELETE {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let got = answer.split(' ').nth(1);
        assert_eq!(got, Some(status), "{target}: {answer}");
        assert_eq!(database.sessions(), 1, "{target}");
    }
    assert_eq!(visitor.visit(), 2);
}

#[test]
fn a_wrong_method_is_405_and_a_forms_address_redirects_to_its_page() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    for (method, path, allowed) in [
        (Method::Get, "/api/auth/login", "POST"),
        (Method::Put, "/login", "GET, HEAD, POST"),
        (Method::Delete, "/healthz", "GET, HEAD"),
        (Method::Get, "/api/session/data", "PATCH"),
        (Method::Get, "/api/session/sessions/x", "DELETE"),
        (Method::Put, "/api/session/data", "PATCH"),
        (Method::Post, "/api/session", "DELETE, GET, HEAD"),
        (Method::Patch, "/api/session/sessions/x", "DELETE"),
    ] {
        let answer = Answer::from(client.req(method, path).dispatch());
        assert_eq!(answer.status, Status::MethodNotAllowed, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    }
    for path in ["/nothing", "/api/nothing", "/api/session/sessions/x/y"] {
        for method in [Method::Get, Method::Post, Method::Delete] {
            let answer = Answer::from(client.req(method, path).dispatch());
            assert_eq!(answer.status, Status::NotFound, "{method} {path}");
        }
    }
    for (path, page) in [
        ("/settings", "/"),
        ("/visit", "/"),
        ("/end", "/"),
        ("/logout", "/"),
        ("/account/password", "/account"),
        ("/account/settings", "/account"),
        ("/account/sessions/end-others", "/account"),
        ("/account/sessions/x/end", "/account"),
        ("/admin/clear", "/admin/maintenance"),
        ("/admin/sweep", "/admin/maintenance"),
        ("/admin/sessions/x/revoke", "/admin/sessions"),
    ] {
        let answer = Answer::from(client.get(path).header(Accept::HTML).dispatch());
        assert_eq!(answer.status, Status::SeeOther, "{path}");
        assert_eq!(answer.header("location"), Some(page), "{path}");
    }
}
