//! I8: neither what the database holds nor the signing secret is enough to make a cookie, and
//! logs never carry a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rocket::serde::json::Value;
use rocket_diesel_sessions::{ListSessions, SessionStore};
use uuid::Uuid;

use crate::i3_no_fixation::signed;
use crate::support::local::{SECRET, application};
use crate::support::{Database, Server, Visitor};

/// The token's two halves in a cookie.
fn halves(cookie: &str) -> (Uuid, [u8; 32]) {
    let (_, value) = cookie.split_once('=').unwrap();
    let (token, _) = value.split_once('.').unwrap();
    let token = URL_SAFE_NO_PAD.decode(token).unwrap();
    let session_id = Uuid::from_slice(&token[..16]).unwrap();
    (session_id, token[16..].try_into().unwrap())
}

on_each_database! {
    fn i8_the_database_and_the_secret_together_make_no_cookie(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let (session_id, secret_half) = halves(visitor.cookie.as_deref().unwrap());
        let query = ListSessions {
            now: rocket_diesel_sessions::Clock::now(&*clock),
            after: None,
            user_id: None,
            limit: 10,
        };
        let stored = database.store().list(&query).unwrap().pop().unwrap();
        assert_eq!(stored.session_id, session_id);
        assert_ne!(stored.token_hash.as_bytes(), &secret_half);
        for guess in [*stored.token_hash.as_bytes(), [0; 32]] {
            let mut thief = Visitor::with_cookie(&client, signed(session_id, guess));
            assert_eq!(thief.session(), Value::Null);
            assert_eq!(thief.visit(), 1);
        }
        // The owner's cookie is what `signed` makes of the right half.
        let mut owner = Visitor::with_cookie(&client, signed(session_id, secret_half));
        assert_eq!(owner.visit(), 2);
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
        let (_, value) = cookie.split_once('=').unwrap();
        let (token, signature) = value.split_once('.').unwrap();
        let (_, secret_half) = halves(&cookie);
        let hex = secret_half.map(|byte| format!("{byte:02x}")).concat();
        for leak in [token, signature, SECRET, &hex, &token[24..], &format!("{secret_half:?}")] {
            assert!(!log.contains(leak), "{leak} is in the log");
        }
    }
}
