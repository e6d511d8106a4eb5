//! I3: ids that the server did not issue are never adopted, and a rotation issues a new token.

use rocket::serde::json::Value;
use rocket_diesel_sessions::SessionConfig;
use uuid::Uuid;

use crate::support::cookie::signed;
use crate::support::embedded::{client, client_and_clock, get, new_cookie, run};
use crate::support::local::application;
use crate::support::{Database, Visitor};

on_each_database! {
    fn i3_an_id_that_was_not_issued_is_not_adopted(database: &Database) {
        let (client, _) = application(database, "");
        let made_up = Uuid::now_v7();
        for cookie in [signed(made_up, [7; 32], "made-up"), format!("session={made_up}")] {
            let mut visitor = Visitor::with_cookie(&client, cookie.clone());
            assert_eq!(visitor.session(), Value::Null);
            assert_eq!(visitor.visit(), 1);
            assert_ne!(visitor.session()["sessionId"], made_up.to_string());
            assert_ne!(visitor.cookie, Some(cookie));
        }
    }

    fn i3_a_rotation_issues_a_new_token_and_invalidates_the_old_one(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let planted = new_cookie(client).await;
            let before = database.number("SELECT count(DISTINCT id) AS n FROM sessions");
            let rotated = get(client, "/rotate", Some(&planted)).await;
            let own = rotated.cookie().unwrap();
            assert_ne!(own, planted);
            assert_eq!(get(client, "/count", Some(&own)).await.body, "2");
            assert_eq!(get(client, "/read", Some(&planted)).await.body, "0");
            assert_eq!(database.sessions(), before);
        });
    }

    fn i3_the_cookie_of_an_ended_session_starts_a_new_session(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let (old, cookie) = (visitor.session(), visitor.cookie.clone().unwrap());
        visitor.delete("/api/session");
        let mut returning = Visitor::with_cookie(&client, cookie.clone());
        assert_eq!(returning.visit(), 1);
        assert_ne!(returning.session()["id"], old["id"]);
        assert_ne!(returning.session()["sessionId"], old["sessionId"]);
        assert_ne!(returning.cookie, Some(cookie));
    }

    fn i3_the_live_one_of_several_cookies_counts(database: &Database) {
        run(async {
            let (client, clock) = &client_and_clock(database.store(), SessionConfig::default()).await;
            let ended = new_cookie(client).await;
            get(client, "/destroy", Some(&ended)).await;
            let live = new_cookie(client).await;
            let unknown = signed(Uuid::now_v7(), [7; 32], "unknown");
            for cookies in [
                format!("{ended}; {live}"),
                format!("{live}; {ended}"),
                format!("{unknown}; {ended}; session=forged; {ended}; {live}"),
            ] {
                let answer = get(client, "/read", Some(&cookies)).await;
                assert_eq!((answer.body.as_str(), answer.header("set-cookie")), ("1", None));
            }
            // Of two live sessions, the newer counts. Signing out ends both.
            clock.advance(chrono::TimeDelta::milliseconds(1));
            let newer = new_cookie(client).await;
            get(client, "/count", Some(&newer)).await;
            for cookies in [format!("{live}; {newer}"), format!("{newer}; {live}")] {
                assert_eq!(get(client, "/read", Some(&cookies)).await.body, "2");
            }
            let out = get(client, "/logout", Some(&format!("{live}; {newer}"))).await;
            assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
            assert_eq!(database.sessions(), 0);
        });
    }

    fn i3_a_changed_cookie_path_locks_no_visitor_out(database: &Database) {
        // The browser keeps the cookie of the old path, whose session the login has replaced.
        let at = |path: &str| application(database, &format!("cookie.path = '{path}'")).0;
        let (old, new) = (at("/"), at("/api"));
        let mut visitor = Visitor::new(&old);
        visitor.visit();
        let former = visitor.cookie.clone().unwrap();
        let mut visitor = Visitor::with_cookie(&new, former.clone());
        let entered = visitor.enter("register", "ada", "correct horse battery staple");
        assert_eq!(entered.status.code, 201, "{}", entered.body);
        assert!(entered.header("set-cookie").unwrap().contains("Path=/api"));
        let own = visitor.cookie.clone().unwrap();
        let mut both = Visitor::with_cookie(&new, format!("{former}; {own}"));
        assert_ne!(both.user_id(), Value::Null);
    }

    fn an_ipv4_mapped_address_is_stored_as_ipv4(database: &Database) {
        let (client, _) = application(database, "");
        let address = "[::ffff:203.0.113.7]:4711".parse().unwrap();
        let request = client.get("/api/session/test-session").remote(address);
        assert_eq!(request.dispatch().status().code, 200);
        let kept = "SELECT count(*) AS n FROM sessions WHERE ip = '203.0.113.7'";
        assert_eq!(database.number(kept), 1);
    }
}
