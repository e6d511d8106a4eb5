//! I7: a cookie with an invalid signature never reaches the database and counts as no cookie.

use crate::support::visitor::Browser;
use crate::support::{Database, Server};

/// Returns cookies that a client may send instead of its own.
fn bad_cookies(good: &str) -> Vec<Vec<u8>> {
    let (name, value) = good.split_once('=').unwrap();
    let (token, signature) = value.split_once('.').unwrap();
    let swapped: String = token.chars().rev().collect();
    let text = |value: &str| format!("{name}={value}").into_bytes();
    let mut not_utf8 = format!("{name}=").into_bytes();
    not_utf8.extend([0xff, 0xfe, 0xc3, 0x28]);
    vec![
        text(""),
        text("."),
        text(token),
        text(&format!("{token}.")),
        text(&value[..value.len() - 1]),
        text(&value[1..]),
        text(&format!("{value}A")),
        text(&format!("{swapped}.{signature}")),
        text(&format!("{token}.{}", signature.to_lowercase())),
        text(&"A".repeat(8 * 1024)),
        text(&format!("{value}{}", "A".repeat(8 * 1024))),
        text("' OR 1=1 --"),
        format!("other={value}").into_bytes(),
        format!("{name}{value}").into_bytes(),
        b";;;=;=".to_vec(),
        not_utf8,
    ]
}

on_each_database! {
    fn i7_a_forged_cookie_costs_no_statement_and_is_no_session(database: &Database) {
        let server = Server::start(database);
        let mut visitor = server.client();
        visitor.visit();
        for cookie in bad_cookies(&visitor.cookie.clone().unwrap()) {
            let shown = String::from_utf8_lossy(&cookie).chars().take(150).collect::<String>();
            let statements = server.statements_of(|| {
                let mut browser = Browser::new(server.url());
                let reply = browser.get_with("/api/session", &cookie);
                assert_eq!(reply.status, 200, "{shown}: {}", reply.body);
                assert!(reply.json()["session"].is_null(), "{shown}: {}", reply.body);
                assert_eq!(reply.set_cookie, None, "{shown}");
            });
            assert_eq!(statements, Vec::<String>::new(), "{shown}");
        }
        assert_eq!(database.sessions(), 1);
    }

    fn i7_a_secret_verifies_cookies_until_it_is_removed(database: &Database) {
        const OLD: &str = "the first secret of more than 32 bytes";
        const NEW: &str = "the second secret of more than 32 bytes";
        let start = |secrets: &str| Server::start_with(database, &[("SESSION_SECRET", secrets)]);
        let mut visitor = start(OLD).client();
        let server = start(OLD);
        visitor.set_url(server.url());
        assert_eq!(visitor.visit(), 1);
        drop(server);

        let server = start(&format!("{NEW},{OLD}"));
        visitor.set_url(server.url());
        assert_eq!(visitor.visit(), 2);
        let mut newcomer = server.client();
        newcomer.visit();
        drop(server);

        let server = start(NEW);
        newcomer.set_url(server.url());
        assert_eq!(newcomer.visit(), 2);
        let statements = server.statements_of(|| {
            visitor.set_url(server.url());
            assert!(visitor.get("/api/session").json()["session"].is_null());
        });
        assert_eq!(statements, Vec::<String>::new());
    }

    fn i7_of_several_cookies_the_newest_live_one_counts(database: &Database) {
        let server = Server::start(database);
        let (mut one, mut other) = (server.client(), server.client());
        one.visit();
        other.visit();
        other.visit();
        let (one, other) = (one.cookie.unwrap(), other.cookie.unwrap());
        let count = |cookies: &str| {
            let reply = Browser::new(server.url()).get_with("/api/session", cookies.as_bytes());
            reply.json()["session"]["data"]["visitCount"].clone()
        };
        assert_eq!(count(&format!("session=left-over; {other}; {one}")), 2);
        assert_eq!(count(&format!("a=b; {one}; {other}")), 2);
        assert_eq!(count(&format!("session=left-over; {one}; session=")), 1);
        assert!(count("session=left-over; session=").is_null());
    }
}
