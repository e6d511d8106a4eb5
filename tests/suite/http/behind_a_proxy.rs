//! The visitor's address and what depends on it: the list of devices and the limits.

use chrono::TimeDelta;
use rocket::http::{Header, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::json;

use crate::support::accounts::{PASSWORD, registered};
use crate::support::local::{ADMIN_TOKEN, Answer, application_of, settings};
use crate::support::{Database, Kind, Server, Visitor};

const HERE: &str = "127.0.0.1:4711";

/// Returns an application that reads addresses from `ip_header`, where `""` means none.
fn behind(database: &Database, ip_header: &str) -> Client {
    let mut settings = settings(database, "");
    settings.figment = match ip_header {
        "" => settings.figment.merge(("ip_header", false)),
        name => settings.figment.merge(("ip_header", name)),
    };
    application_of(settings, database.store()).0
}

/// Signs in through a peer that forwards the request.
fn login(
    client: &Client,
    username: &str,
    password: &str,
    peer: &str,
    header: (&'static str, &str),
) -> Answer {
    let body = json!({"username": username, "password": password}).to_string();
    let request = client
        .post("/api/auth/login")
        .header(Header::new("Content-Type", "application/json"))
        .header(Header::new(header.0, header.1.to_owned()))
        .remote(peer.parse().unwrap());
    request.body(body).dispatch().into()
}

on_each_database! {
    fn without_ip_header_one_stranger_does_not_lock_out_other_visitors(database: &Database) {
        let client = behind(database, "");
        registered(&client, "ada");
        for number in 0..60 {
            let from = ("X-Forwarded-For", "203.0.113.66");
            let answer = login(&client, &format!("user{number}"), "a wrong password", HERE, from);
            assert_eq!(answer.status, Status::Unauthorized, "{number}");
        }
        let from = ("X-Forwarded-For", "203.0.113.7");
        assert_eq!(login(&client, "ada", PASSWORD, HERE, from).status, Status::Ok);
        // Limits by user hold.
        for _ in 0..10 {
            let answer = login(&client, "ada", "a wrong password", HERE, from);
            assert_eq!(answer.status, Status::Unauthorized);
        }
        let answer = login(&client, "ada", PASSWORD, HERE, from);
        assert_eq!(answer.status, Status::TooManyRequests);
    }

    fn a_correct_password_is_not_refused_because_of_its_address(database: &Database) {
        let (client, clock) = application_of(settings(database, ""), database.store());
        for name in ["ada", "bob"] {
            registered(&client, name);
        }
        let peer = "192.0.2.1:1";
        let nothing = ("Accept", "*/*");
        let guess = |number: u32| {
            login(&client, &format!("user{number}"), "a wrong password", peer, nothing)
        };
        for number in 0..50 {
            assert_eq!(guess(number).status, Status::Unauthorized, "{number}");
        }
        let refused = guess(50);
        assert_eq!(refused.status, Status::TooManyRequests);
        assert_eq!(refused.json()["error"]["code"], "too_many_attempts");
        assert!(refused.header("retry-after").is_some());
        for (number, name) in [(51, "ada"), (52, "bob"), (53, "ada")] {
            let answer = login(&client, name, PASSWORD, peer, nothing);
            assert_eq!(answer.status, Status::Ok, "{}", answer.body);
            assert_eq!(guess(number).status, Status::TooManyRequests, "{number}");
        }
        // The limit per user applies there too.
        for _ in 0..10 {
            login(&client, "bob", "a wrong password", peer, nothing);
        }
        let answer = login(&client, "bob", PASSWORD, peer, nothing);
        assert_eq!(answer.status, Status::TooManyRequests);
        clock.advance(TimeDelta::seconds(30));
        assert_eq!(login(&client, "bob", PASSWORD, peer, nothing).status, Status::Ok);
        assert_eq!(guess(80).status, Status::Unauthorized);
    }

    fn each_visitor_behind_a_proxy_has_an_address(database: &Database) {
        let client = behind(database, "X-Forwarded-For");
        registered(&client, "ada");
        for (list, shown) in [
            ("203.0.113.7, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.7:51234", "203.0.113.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"203.0.113.8\"", "203.0.113.8"),
            ("for=203.0.113.7, for=\"[2001:db8::2]:1\";proto=https", "2001:db8::2"),
        ] {
            let answer = login(&client, "ada", PASSWORD, HERE, ("X-Forwarded-For", list));
            let cookie = answer.cookie().unwrap();
            let devices = Visitor::with_cookie(&client, cookie).get("/api/account/sessions");
            let devices = devices.json();
            let devices = devices["sessions"].as_array().unwrap();
            let current = devices.iter().find(|device| device["current"] == true).unwrap();
            assert_eq!(current["ip"], shown, "{list}");
        }
        // An address that a client puts in front changes nothing: its 51 guesses are counted
        // together.
        let guess = |number: u32, address: &str| {
            let list = format!("10.0.0.{number}, {address}");
            let name = format!("user{number}");
            let from = ("X-Forwarded-For", list.as_str());
            login(&client, &name, "a wrong password", HERE, from).status
        };
        for number in 0..50 {
            assert_eq!(guess(number, "203.0.113.66:1"), Status::Unauthorized, "{number}");
        }
        assert_eq!(guess(50, "203.0.113.66:2"), Status::TooManyRequests);
        assert_eq!(guess(51, "203.0.113.67:1"), Status::Unauthorized);
    }
}

#[test]
fn a_proxy_without_ip_header_causes_one_warning() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    for path in ["/api/session/test-session", "/api/session", "/api/session"] {
        let mut visitor = server.client();
        let answer = visitor.get_with_header(path, "X-Forwarded-For", "203.0.113.7");
        assert_eq!(answer.status, 200);
    }
    let log = server.log_at_end();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("`ip_header`"))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0].contains("WARN") && warnings[0].contains("x-forwarded-for"),
        "{log}"
    );
    let unknown = "SELECT count(*) AS n FROM sessions WHERE ip IS NULL";
    assert_eq!(database.number(unknown), 1);
}

#[test]
fn wrong_admin_tokens_are_limited_by_address_the_right_one_is_not() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let client = behind(&database, "");
    let ask = |token: &str, peer: &str, accept: &'static str| -> Answer {
        let request = client
            .get(if accept == "text/html" {
                "/admin"
            } else {
                "/api/session/stats"
            })
            .header(Header::new("Authorization", format!("Bearer {token}")))
            .header(Header::new("Accept", accept))
            .remote(peer.parse().unwrap());
        request.dispatch().into()
    };
    let (peer, json) = ("192.0.2.1:1", "application/json");
    for number in 0..50 {
        let answer = ask("a wrong token", peer, json);
        assert_eq!(answer.status, Status::Unauthorized, "{number}");
    }
    for accept in [json, "text/html"] {
        let answer = ask("a wrong token", peer, accept);
        assert_eq!(answer.status, Status::TooManyRequests);
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
        assert!(
            answer.body.to_lowercase().contains("too many wrong tokens"),
            "{}",
            answer.body
        );
    }
    assert_eq!(ask(ADMIN_TOKEN, peer, json).status, Status::Ok);
    assert_eq!(
        ask("a wrong token", "192.0.2.2:1", json).status,
        Status::Unauthorized
    );
}
