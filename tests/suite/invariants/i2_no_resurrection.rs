//! I2: after a session has ended, or its token was replaced, nothing that loaded it earlier writes
//! to it, re-creates it, or sets its cookie again.

use std::sync::atomic::{AtomicBool, Ordering};

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig};

use crate::support::embedded::{Gate, client, client_and_clock, get, new_cookie, run};
use crate::support::visitor::Browser;
use crate::support::{Database, Kind, Server};

/// Sends `slow`, and then `end` after the slow handler has loaded the session. Checks that the slow
/// request fails without a trace.
async fn assert_nothing_comes_back(client: &Client, slow: &str, end: impl AsyncFnOnce(&str)) {
    let cookie = new_cookie(client).await;
    let gate = client.rocket().state::<std::sync::Arc<Gate>>().unwrap();
    let (answer, ()) = rocket::tokio::join!(get(client, slow, Some(&cookie)), async {
        gate.arrival().await;
        end(&cookie).await;
        gate.open();
    });
    assert_eq!(answer.status, Status::Conflict, "{slow}: {}", answer.body);
    assert_eq!(answer.header("set-cookie"), None, "{slow}");
    assert_eq!(
        get(client, "/read", Some(&cookie)).await.body,
        "0",
        "{slow}"
    );
}

/// Requests that load the session and then try to write.
const WRITERS: [&str; 3] = ["/slow/count", "/slow/set", "/slow/rotate"];

on_each_database! {
    fn i2_a_request_that_loaded_a_session_before_its_end_writes_nothing(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            for slow in WRITERS {
                assert_nothing_comes_back(client, slow, async |cookie| {
                    assert_eq!(get(client, "/destroy", Some(cookie)).await.status, Status::Ok);
                })
                .await;
                assert_eq!(database.sessions(), 0, "{slow}");
            }
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            for slow in WRITERS {
                assert_nothing_comes_back(client, slow, async |_| {
                    let page = admin.list(10, None, None).await.unwrap();
                    assert!(admin.revoke(&page.sessions[0].id).await.unwrap());
                })
                .await;
                assert_nothing_comes_back(client, slow, async |_| {
                    assert_eq!(admin.clear().await.unwrap(), 1);
                })
                .await;
                assert_eq!(database.sessions(), 0, "{slow}");
            }
        });
    }

    fn i2_a_request_with_a_replaced_token_writes_nothing(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            for slow in WRITERS {
                let mut new = None;
                assert_nothing_comes_back(client, slow, async |cookie| {
                    new = get(client, "/rotate", Some(cookie)).await.cookie();
                })
                .await;
                assert_eq!(get(client, "/read", new.as_deref()).await.body, "1", "{slow}");
            }
        });
    }

    fn i2_destroying_a_session_succeeds_after_its_token_was_replaced(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let cookie = new_cookie(client).await;
            let gate = client.rocket().state::<std::sync::Arc<Gate>>().unwrap();
            let mut new = None;
            let (answer, ()) =
                rocket::tokio::join!(get(client, "/slow/destroy", Some(&cookie)), async {
                    gate.arrival().await;
                    new = get(client, "/rotate", Some(&cookie)).await.cookie();
                    gate.open();
                });
            assert_eq!(answer.status, Status::Ok);
            assert_eq!(get(client, "/read", new.as_deref()).await.body, "0");
            assert_eq!(database.sessions(), 0);
        });
    }

    fn i2_a_request_whose_session_expires_meanwhile_writes_nothing(database: &Database) {
        run(async {
            let (client, clock) = &client_and_clock(database.store(), SessionConfig::default()).await;
            for slow in WRITERS {
                assert_nothing_comes_back(client, slow, async |_| {
                    clock.advance(chrono::TimeDelta::hours(25));
                    let admin = client.rocket().state::<SessionAdmin>().unwrap();
                    assert_eq!(admin.sweep().await.unwrap().deleted, 1);
                })
                .await;
            }
            assert_eq!(database.sessions(), 0);
        });
    }

    fn i2_a_session_in_constant_use_can_be_ended(database: &Database) {
        let servers = match database.kind() {
            Kind::Sqlite => vec![Server::start(database)],
            Kind::Postgres => vec![Server::start(database), Server::start(database)],
        };
        for _ in 0..5 {
            end_under_fire(&servers, database, |browser| {
                browser.visit();
                "/api/session"
            });
        }
        for number in 0..20 {
            end_under_fire(&servers, database, |browser| {
                let user = format!(
                    r#"{{"username":"user{number}","password":"correct horse battery {number}"}}"#
                );
                assert_eq!(browser.post("/api/auth/register", &user).status, 201);
                browser.visit();
                "/api/auth/logout"
            });
        }
    }
}

/// Creates a session with `start`, which returns how to end it. Six browsers keep using the session
/// while a seventh ends it.
fn end_under_fire(
    servers: &[Server],
    database: &Database,
    start: impl FnOnce(&mut Browser) -> &'static str,
) {
    let mut first = servers[0].client();
    let end = start(&mut first);
    let cookie = first.cookie.clone().unwrap();
    let id = first.get("/api/session").json()["session"]["id"].clone();
    let id = id.as_str().unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for server in servers.iter().cycle().take(6) {
            let (ended, cookie) = (&ended, &cookie);
            scope.spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let mut browser = Browser::new(server.url());
                    let reply = browser.get_with("/api/session/test-session", cookie.as_bytes());
                    // It counted, created its own session, or met the end.
                    assert!([200, 409].contains(&reply.status), "{}", reply.body);
                }
                let mut browser = Browser::new(server.url());
                let reply = browser.get_with("/api/session", cookie.as_bytes());
                assert!(reply.json()["session"].is_null(), "{}", reply.body);
                assert_eq!(reply.set_cookie, None);
            });
        }
        // After the others have started.
        crate::support::wait_until("the session was counted", || {
            first.get("/api/session").json()["session"]["data"]["visitCount"].as_u64() > Some(20)
        });
        let ending = match end {
            "/api/auth/logout" => first.post(end, ""),
            _ => first.delete(end),
        };
        assert_eq!((ending.status, &first.cookie), (204, &None));
        ended.store(true, Ordering::SeqCst);
    });
    let back = database.number(&format!(
        "SELECT count(*) AS n FROM sessions WHERE id = '{id}'"
    ));
    assert_eq!(back, 0);
}
