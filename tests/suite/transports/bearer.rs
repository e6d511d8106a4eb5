//! `transport = "bearer"`: tokens are handed out and come back in `Authorization`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::Transport;
use rocket_diesel_sessions::store::SessionStore;
use uuid::Uuid;

use super::api::{application, by, client, new_token, send, with};
use crate::support::cookie::{bearer, signed};
use crate::support::embedded::{Gate, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Database, altered};

/// Returns the database's store and a count of the statements that requests cause.
fn counted(database: &Database) -> (Arc<dyn SessionStore>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let store = HookedStore::new(database.store(), move |call| {
        if let Call::Load(_) | Call::Write(_) | Call::Login | Call::Rotate = call {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    (store, calls)
}

on_each_database! {
    fn a_bearer_token_is_handed_out_once_and_opens_its_session(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Bearer).await;
            let answer = send(client, "/token/count", &[]).await;
            let token = answer.body.split(' ').nth(1).unwrap();
            assert_eq!(answer.body, format!("1 {token} -"));
            assert_eq!(answer.values("vary"), ["Authorization"]);
            assert_eq!(answer.values("cache-control"), ["no-store"]);
            let again = with(client, "/token/count", token).await;
            assert_eq!(again.body, "2 - -", "an update issues no token");
            for scheme in ["bearer", "BEARER", "Bearer  "] {
                let header = format!("{scheme} {token}");
                let answer = send(client, "/read", &[("authorization", &header)]).await;
                assert_eq!(answer.body, "2", "{scheme}");
                assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
                assert_eq!(answer.values("vary"), ["Authorization"]);
            }
            assert_eq!(with(client, "/token", token).await.body, "-");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn a_bearer_client_sends_no_cookie_and_gets_none(database: &Database) {
        run(async {
            let by_cookie = &client(database.store(), Transport::Cookie).await;
            let answer = send(by_cookie, "/token/count", &[]).await;
            assert_eq!(answer.body, "1 - -", "tokens are in cookies only");
            let cookie = answer.cookie().unwrap();
            let client = &client(database.store(), Transport::Bearer).await;
            let headers = [("Cookie", cookie.as_str())];
            assert_eq!(send(client, "/read", &headers).await.body, "0");
            let out = send(client, "/logout", &headers).await;
            assert_eq!(out.values("set-cookie"), Vec::<&str>::new());
            assert_eq!(database.sessions(), 1);
            // The reverse.
            let token = new_token(client).await;
            let answer = with(by_cookie, "/read", &token).await;
            assert_eq!((answer.body.as_str(), answer.values("vary")), ("0", vec!["Cookie"]));
        });
    }

    fn i1_concurrent_updates_by_bearer_are_all_applied(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Bearer).await;
            let token = &new_token(client).await;
            let answers = join_all((0..20).map(|_| with(client, "/count", token))).await;
            let mut seen: Vec<u64> = answers.iter().map(|answer| answer.body.parse().unwrap()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (2..22).collect::<Vec<_>>());
        });
    }

    fn i2_an_ended_or_replaced_bearer_token_opens_nothing(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        run(async {
            let client = &client(store, Transport::Bearer).await;
            let first = new_token(client).await;
            let second = with(client, "/token/login/ada", &first).await.body;
            let third = with(client, "/token/rotate", &second).await.body;
            for old in [&first, &second] {
                assert_eq!(with(client, "/user", old).await.body, "-");
                let answer = with(client, "/token/count", old).await;
                assert!(answer.body.starts_with("1 "), "{}", answer.body);
            }
            assert_eq!(with(client, "/user", &third).await.body, "ada");
            let bobs = with(client, "/token/login/bob", &third).await.body;
            assert_eq!(with(client, "/user", &third).await.body, "-");
            assert_eq!(with(client, "/user", &bobs).await.body, "bob");
            let out = with(client, "/logout", &bobs).await;
            assert_eq!(out.values("set-cookie"), Vec::<&str>::new());
            assert_eq!(with(client, "/user", &bobs).await.body, "-");
        });
    }

    fn i2_a_request_in_progress_gets_no_bearer_token_after_a_logout(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Bearer).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let token = &new_token(client).await;
            let slow = with(client, "/token/slow-rotate", token);
            let (answer, ()) = join(slow, async {
                gate.arrival().await;
                assert_eq!(with(client, "/logout", token).await.body, "signed out");
                gate.open();
            })
            .await;
            assert_eq!(answer.body, "Err(Ended) -");
            assert_eq!(database.sessions(), 0);
        });
    }

    fn i2_a_login_that_is_logged_out_again_has_no_bearer_token(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let client = &client(store, Transport::Bearer).await;
            let answer = send(client, "/token/login/ada/logout", &[]).await;
            assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "-"));
            assert_eq!(database.sessions(), 0);
        });
    }

    fn i3_a_bearer_token_that_was_not_issued_is_not_adopted(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Bearer).await;
            let made_up = bearer(Uuid::now_v7(), [7; 32], "made-up");
            assert_eq!(with(client, "/read", &made_up).await.body, "0");
            let answer = with(client, "/token/count", &made_up).await;
            let issued = answer.body.split(' ').nth(1).unwrap();
            assert_ne!(issued, made_up);
            assert_eq!(with(client, "/read", issued).await.body, "1");
            assert_eq!(with(client, "/read", &made_up).await.body, "0");
            // Anyone who knows the secret and reads the database lacks the secret half.
            let admin = database.store();
            let stored = admin.list(&rocket_diesel_sessions::store::ListSessions::new(chrono::Utc::now(), 10));
            let stored = stored.unwrap().remove(0);
            let guess = bearer(stored.session_id, [0; 32], stored.id.as_str());
            assert_eq!(with(client, "/read", &guess).await.body, "0");
        });
    }

    fn i4_an_expired_bearer_token_is_not_served(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let (rocket, clock) = application(store, by(Transport::Bearer));
            let client = &Client::untracked(rocket).await.unwrap();
            let token = send(client, "/token/login/ada", &[]).await.body;
            clock.advance(TimeDelta::hours(25));
            let answer = with(client, "/signed-in", &token).await;
            assert_eq!(answer.status, Status::Unauthorized);
            let challenge = "Bearer error=\"invalid_token\"";
            assert_eq!(answer.values("www-authenticate"), [challenge]);
            assert_eq!(with(client, "/user", &token).await.body, "-");
        });
    }

    fn i7_a_forged_bearer_token_costs_no_statement(database: &Database) {
        run(async {
            let (store, calls) = counted(database);
            let client = &client(store, Transport::Bearer).await;
            let good = new_token(client).await;
            let (payload, signature) = good.split_once('.').unwrap();
            let swapped: String = payload.chars().rev().collect();
            let other_name = altered(by(Transport::Bearer), |config| {
                config.cookie.name = Some("other".to_owned());
            });
            let (other, _) = application(database.store(), other_name);
            let other = Client::untracked(other).await.unwrap();
            let forged = [
                String::new(),
                ".".to_owned(),
                payload.to_owned(),
                format!("{payload}."),
                good[..good.len() - 1].to_owned(),
                good[1..].to_owned(),
                format!("{good}A"),
                format!("{swapped}.{signature}"),
                format!("{payload}.{}", signature.to_lowercase()),
                format!("{}.{}", "A".repeat(96), "A".repeat(43)),
                "A".repeat(8 * 1024),
                format!("{}{good}", "A".repeat(8 * 1024)),
                "ä".repeat(70),
                // A cookie of the same application, and one that anyone could make of the token.
                signed(Uuid::now_v7(), [7; 32], "made-up")["session=".len()..].to_owned(),
                new_token(&other).await,
            ];
            let before = calls.load(Ordering::SeqCst);
            for token in &forged {
                let answer = with(client, "/read", token).await;
                assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "0"), "{token:.150}");
                assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
            }
            let twice = format!("Bearer {good}");
            for headers in [
                [("Authorization", twice.as_str()), ("Authorization", &twice)],
                [("Authorization", "Basic eDp5"), ("Authorization", &twice)],
            ] {
                assert_eq!(send(client, "/read", &headers).await.body, "0");
            }
            assert_eq!(calls.load(Ordering::SeqCst), before);
            assert_eq!(with(client, "/read", &good).await.body, "1");
        });
    }

    fn i9_a_bearer_request_costs_only_what_it_asks_for(database: &Database) {
        run(async {
            let (store, calls) = counted(database);
            let client = &client(store, Transport::Bearer).await;
            let token = &new_token(client).await;
            let cost = async |path: &str, token: Option<&str>| {
                let before = calls.load(Ordering::SeqCst);
                match token {
                    Some(token) => with(client, path, token).await,
                    None => send(client, path, &[]).await,
                };
                calls.load(Ordering::SeqCst) - before
            };
            assert_eq!(cost("/unused", Some(token)).await, 0);
            assert_eq!(cost("/read", None).await, 0);
            assert_eq!(cost("/read", Some(token)).await, 1);
            assert_eq!(cost("/token", Some(token)).await, 1);
            assert_eq!(cost("/count", Some(token)).await, 2);
            assert_eq!(with(client, "/unused", token).await.values("vary"), Vec::<&str>::new());
        });
    }
}
