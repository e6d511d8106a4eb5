//! Registration: who may register, and how often.

use chrono::TimeDelta;
use rocket::http::{Accept, Header, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::json;

use crate::support::accounts::{PASSWORD, registered};
use crate::support::local::{Answer, application_of, settings};
use crate::support::{Database, Kind, Visitor};

fn register(client: &Client, username: &str, peer: &str) -> Answer {
    let body = json!({"username": username, "password": PASSWORD}).to_string();
    let request = client
        .post("/api/auth/register")
        .header(Header::new("Content-Type", "application/json"))
        .remote(peer.parse().unwrap());
    request.body(body).dispatch().into()
}

on_each_database! {
    fn accounts_created_per_address_and_hour_are_limited(database: &Database) {
        let mut settings = settings(database, "");
        settings.app.registrations_per_address = 3.try_into().unwrap();
        // A created account does not count as a failed attempt.
        settings.app.guesses_per_address = 1.try_into().unwrap();
        let (client, clock) = application_of(settings, database.store());
        let (here, there) = ("192.0.2.1:1", "192.0.2.2:1");
        for number in 0..3 {
            // Failed attempts do not count.
            assert_eq!(register(&client, "x", here).status, Status::UnprocessableEntity);
            let answer = register(&client, &format!("user{number}"), here);
            assert_eq!(answer.status, Status::Created, "{}", answer.body);
        }
        let answer = register(&client, "one-more", here);
        assert_eq!(answer.status, Status::TooManyRequests);
        assert_eq!(answer.json()["error"]["code"], "too_many_attempts");
        assert!(answer.message().contains("too many accounts"), "{}", answer.body);
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&seconds), "{seconds}");
        // Visitors from other or unknown addresses may register, and everyone may sign in.
        assert_eq!(register(&client, "there", there).status, Status::Created);
        registered(&client, "unknown");
        let mut visitor = Visitor::new(&client);
        assert_eq!(visitor.enter("login", "user0", PASSWORD).status, Status::Ok);
        clock.advance(TimeDelta::hours(1));
        assert_eq!(register(&client, "one-more", here).status, Status::Created);
    }

    fn attempts_to_register_taken_names_are_limited(database: &Database) {
        let (client, _) = application_of(settings(database, ""), database.store());
        registered(&client, "ada");
        let peer = "192.0.2.1:1";
        for _ in 0..50 {
            assert_eq!(register(&client, "ada", peer).status, Status::Conflict);
        }
        let answer = register(&client, "ada", peer);
        assert_eq!(answer.status, Status::TooManyRequests);
        let message = answer.message();
        assert!(message.contains("too many attempts") && !message.contains("password"), "{message}");
    }
}

#[test]
fn closed_registration_refuses_everyone_and_is_not_offered() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.app.registration = false;
    let (client, _) = application_of(settings, database.store());
    for (kind, body) in [
        (
            "application/json",
            r#"{"username":"ada","password":"correct horse battery"}"#,
        ),
        (
            "application/x-www-form-urlencoded",
            "username=ada&password=correct+horse+battery",
        ),
        ("text/plain", ""),
    ] {
        let mut visitor = Visitor::new(&client);
        let answer = visitor.send(
            rocket::http::Method::Post,
            "/api/auth/register",
            Some(kind),
            body,
        );
        assert_eq!(answer.status, Status::Forbidden, "{kind}");
        assert_eq!(answer.json()["error"]["code"], "registration_closed");
    }
    let form = "username=ada&password=correct+horse+battery";
    let mut visitor = Visitor::new(&client);
    assert_eq!(
        visitor.post_form("/register", form).status,
        Status::Forbidden
    );
    assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
    let page =
        |path: &'static str| -> Answer { client.get(path).header(Accept::HTML).dispatch().into() };
    let closed = page("/register");
    assert_eq!(closed.status, Status::Forbidden);
    assert!(
        closed.body.contains("Registration is closed"),
        "{}",
        closed.body
    );
    for path in ["/", "/login", "/signed-out", "/admin"] {
        let page = page(path);
        assert_eq!(page.status, Status::Ok, "{path}");
        assert!(!page.body.contains("/register"), "{path}: {}", page.body);
        assert!(
            path == "/login" || page.body.contains("href=\"/login\""),
            "{path}"
        );
    }
}
