//! What may go wrong between requests and the store: each harms those it concerns, nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rocket::futures::future::join_all;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig, SessionStore};

use crate::support::embedded::{Gate, get, new_cookie, rocket, run};
use crate::support::hooked::HookedStore;
use crate::support::{Database, Kind};

async fn client(store: Arc<dyn SessionStore>, config: SessionConfig) -> Client {
    let (rocket, _) = rocket(store, config);
    Client::untracked(rocket).await.unwrap()
}

fn statuses(answers: &[crate::support::local::Answer], status: Status) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

on_each_database! {
    fn a_store_that_panics_fails_its_batch_and_is_asked_again(database: &Database) {
        run(async {
            let panics = Arc::new(AtomicU32::new(20));
            let left = Arc::clone(&panics);
            let store = HookedStore {
                inner: database.store(),
                before_write: Box::new(move |batch| {
                    let data = batch.saves.iter().map(|save| &save.data);
                    let is_marked = data.into_iter().any(|data| data.contains("panic"));
                    let one_less = |left: u32| left.checked_sub(1);
                    let order = Ordering::SeqCst;
                    assert!(!is_marked || left.fetch_update(order, order, one_less).is_err());
                }),
            };
            let client = &client(Arc::new(store), SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let other = &new_cookie(client).await;
            // More often than there are workers.
            for _ in 0..20 {
                let answer = get(client, "/add/panic", Some(cookie)).await;
                assert_eq!(answer.status, Status::ServiceUnavailable);
                assert_eq!(answer.header("set-cookie"), None);
                assert_eq!(get(client, "/read", Some(other)).await.body, "1");
            }
            assert_eq!(get(client, "/count", Some(other)).await.body, "2");
            assert_eq!(panics.load(Ordering::SeqCst), 0);
            assert_eq!(get(client, "/add/panic", Some(cookie)).await.body, "1");
        });
    }

    fn one_row_that_breaks_a_constraint_fails_alone(database: &Database) {
        run(async {
            let store = database.store();
            database.execute("CREATE UNIQUE INDEX one_poison ON sessions ((1)) \
                WHERE data LIKE '%poison%'");
            let gate = Arc::new(std::sync::Mutex::new(()));
            let at_gate = Arc::clone(&gate);
            let hooked = HookedStore {
                inner: store,
                before_write: Box::new(move |_| drop(at_gate.lock())),
            };
            let client = &client(Arc::new(hooked), SessionConfig::default()).await;
            let cookies = join_all((0..20).map(|_| new_cookie(client))).await;
            for create in [false, true] {
                let held = gate.lock().unwrap();
                let requests = cookies.iter().enumerate().map(|(number, cookie)| async move {
                    let item = if number % 5 == 0 { "poison" } else { "good" };
                    let cookie = (!create).then_some(cookie.as_str());
                    get(client, &format!("/add/{item}"), cookie).await
                });
                let (answers, ()) = rocket::tokio::join!(join_all(requests), async {
                    rocket::tokio::time::sleep(Duration::from_millis(100)).await;
                    drop(held);
                });
                let expected = if create { (16, 4) } else { (17, 3) };
                let seen = (
                    statuses(&answers, Status::Ok),
                    statuses(&answers, Status::ServiceUnavailable),
                );
                assert_eq!(seen, expected, "creating: {create}");
            }
        });
    }

    fn a_slow_closure_holds_up_its_own_session_alone(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let slow = &new_cookie(client).await;
            let other = &new_cookie(client).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let (answer, ()) = rocket::tokio::join!(get(client, "/stuck", Some(slow)), async {
                gate.arrival().await;
                for count in 2..10 {
                    let counted = get(client, "/count", Some(other)).await;
                    assert_eq!(counted.body, count.to_string());
                }
                assert_eq!(get(client, "/read", Some(slow)).await.body, "1");
                gate.open_closure();
            });
            assert_eq!(answer.body, "2");
        });
    }

    fn a_database_slower_than_the_load_is_503_in_time_and_recovers(database: &Database) {
        run(async {
            let config = SessionConfig {
                timeout: Duration::from_millis(300),
                max_queue: 16,
                ..SessionConfig::default()
            };
            let client = &client(database.store(), config).await;
            let cookies = join_all((0..10).map(|_| new_cookie(client))).await;
            let mut holder = database.connection();
            holder.run(match database.kind() {
                Kind::Sqlite => "BEGIN IMMEDIATE",
                Kind::Postgres => "BEGIN; LOCK TABLE sessions IN EXCLUSIVE MODE",
            });
            let requests = (0..100).map(|number| {
                get(client, "/count", Some(cookies[number % 10].as_str()))
            });
            let answers = join_all(requests).await;
            assert_eq!(statuses(&answers, Status::ServiceUnavailable), 100);
            assert!(answers.iter().all(|answer| answer.header("set-cookie").is_none()));
            assert!(answers.iter().all(|answer| answer.header("retry-after") == Some("1")));
            holder.run("ROLLBACK");
            drop(holder);
            crate::support::wait_for("service returns", async || {
                get(client, "/count", Some(&cookies[0])).await.status == Status::Ok
            })
            .await;
            let requests = cookies.iter().map(|cookie| get(client, "/count", Some(cookie)));
            assert_eq!(statuses(&join_all(requests).await, Status::Ok), 10);
        });
    }

    fn a_server_that_stops_answers_what_is_queued(database: &Database) {
        run(async {
            let gate = Arc::new(std::sync::Mutex::new(()));
            let at_gate = Arc::clone(&gate);
            let hooked = HookedStore {
                inner: database.store(),
                before_write: Box::new(move |_| drop(at_gate.lock())),
            };
            let client = client(Arc::new(hooked), SessionConfig::default()).await;
            let cookie = new_cookie(&client).await;
            let held = gate.lock().unwrap();
            let requests = (0..1000).map(|_| get(&client, "/count", Some(&cookie)));
            let (answers, ()) = rocket::tokio::join!(join_all(requests), async {
                rocket::tokio::time::sleep(Duration::from_millis(100)).await;
                client.rocket().shutdown().notify();
                drop(held);
            });
            let counted = statuses(&answers, Status::Ok);
            assert_eq!(counted + statuses(&answers, Status::ServiceUnavailable), 1000);
            let read = get(&client, "/read", Some(&cookie)).await;
            assert_eq!(read.body, (counted + 1).to_string());
            client.terminate().await;
            assert_eq!(database.sessions(), 1);
        });
    }
}

#[test]
fn touches_of_the_last_requests_are_written_before_the_end() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let config = SessionConfig {
            touch_interval: Duration::ZERO,
            ..SessionConfig::default()
        };
        let (rocket, clock) = rocket(database.store(), config);
        let client = Client::untracked(rocket).await.unwrap();
        let cookies = join_all((0..50).map(|_| new_cookie(&client))).await;
        clock.advance(chrono::TimeDelta::minutes(1));
        for cookie in &cookies {
            get(&client, "/read", Some(cookie)).await;
        }
        drop(client);
    });
    let touched = "SELECT count(*) AS n FROM sessions WHERE last_seen_at > created_at";
    assert_eq!(database.number(touched), 50);
}

/// A thousand increments of one session are a few statements, not a thousand retries.
#[test]
fn i1_updates_of_one_session_are_written_together() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let client = &client(database.store(), SessionConfig::default()).await;
        let cookie = &new_cookie(client).await;
        let requests = (0..1000).map(|_| get(client, "/count", Some(cookie)));
        let answers = join_all(requests).await;
        assert_eq!(statuses(&answers, Status::Ok), 1000);
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!(admin.counters().updated(), 1000);
    });
    assert!(database.number("SELECT version AS n FROM sessions") < 500);
}
