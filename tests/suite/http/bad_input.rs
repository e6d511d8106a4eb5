//! Invalid input: a 4xx with the reason, nothing stored, nothing broken.

use rocket::http::{Method, Status};

use crate::support::local::application;
use crate::support::{Database, Kind, Visitor};

on_each_database! {
    fn data_that_does_not_fit_is_refused_with_the_reason(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.patch("/api/session/data", r#"{"displayName":"Ada"}"#);
        let before = visitor.session();
        let long = format!(r#"{{"displayName":"{}"}}"#, "x".repeat(65));
        let huge = format!(r#"{{"displayName":"{}"}}"#, "x".repeat(1_000_000));
        for (body, status, reason) in [
            ("[]", 422, "object"),
            ("7", 422, "object"),
            ("null", 422, "object"),
            (r#"{"visitCount":"x"}"#, 422, "visitCount"),
            (r#"{"visitCount":1.5}"#, 422, "visitCount"),
            (r#"{"visitCount":18446744073709551616}"#, 422, "visitCount"),
            (r#"{"theme":"neon"}"#, 422, "theme"),
            (r#"{"displayName":{"a":1}}"#, 422, "displayName"),
            (r#"{"displayName":"a\u0000b"}"#, 422, "displayName"),
            (r#"{"isAdmin":true}"#, 422, "isAdmin"),
            (&long, 422, "64"),
            (&huge, 413, "larger"),
            ("{", 400, "JSON"),
            ("", 400, "JSON"),
            ("{\"theme\":\"dark\"} x", 400, "JSON"),
        ] {
            let answer = visitor.patch("/api/session/data", body);
            let shown = &body[..body.len().min(80)];
            assert_eq!(answer.status.code, status, "{shown}: {}", answer.body);
            assert!(answer.message().contains(reason), "{shown}: {}", answer.body);
        }
        assert_eq!(visitor.session(), before);
    }

    fn invalid_limits_and_cursors_are_refused(database: &Database) {
        let (client, _) = application(database, "");
        for (query, reason) in [
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("limit=", "limit"),
            ("limit=5&limit=6", "limit: is given twice"),
            ("user=a&user=b", "user: is given twice"),
            ("user=", "user: is empty"),
            ("after=x", "after"),
            ("after=00000000-0000-4000-8000-000000000000", "after"),
            ("after=%00'%3B--", "after"),
        ] {
            let path = format!("/api/session/sessions?{query}");
            let answer = Visitor::new(&client).get(&path);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
            assert!(answer.message().contains(reason), "{query}: {}", answer.body);
        }
        // A user id or handle that cannot exist matches no one.
        for odd in ["%27%20OR%201%3D1", "%00", "a%00b", "%F0%9F%91%8B"] {
            let list = format!("/api/session/sessions?user={odd}");
            assert_eq!(Visitor::new(&client).get(&list).status, Status::Ok, "{odd}");
            let one = format!("/api/session/sessions/{odd}");
            let answer = Visitor::new(&client).delete(&one);
            assert_eq!(answer.status, Status::NotFound, "{odd}");
        }
    }
}

#[test]
fn a_body_of_the_wrong_content_type_is_refused() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = visitor.send(Method::Patch, "/api/session/data", kind, "{}");
        assert_eq!(answer.status, Status::UnsupportedMediaType);
        assert!(answer.message().contains("application/json"));
    }
    assert_eq!(database.sessions(), 0);
}

#[test]
fn unknown_routes_are_not_found() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    for (method, path) in [
        (Method::Get, "/api"),
        (Method::Get, "/static/../Cargo.toml"),
    ] {
        let answer = Visitor::new(&client).send(method, path, None, "");
        assert_eq!(answer.status, Status::NotFound, "{method} {path}");
        assert_eq!(answer.json()["error"]["code"], "not_found");
    }
}
