//! Failures between requests and the store. Each affects only the requests concerned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig};

use crate::support::altered;
use crate::support::embedded::{Gate, client, client_and_clock, get, new_cookie, patient, run};
use crate::support::gathered::{gated, one_writer};
use crate::support::hooked::{Call, HookedStore};
use crate::support::visitor::Browser;
use crate::support::{Database, Kind, Server, metric, queued, wait_for, wait_until};

/// Returns a statement that takes a lock which does not block readers.
fn lock_writers_out(database: &Database) -> &'static str {
    match database.kind() {
        Kind::Sqlite => "BEGIN IMMEDIATE",
        Kind::Postgres => "BEGIN; LOCK TABLE sessions IN EXCLUSIVE MODE",
    }
}

fn statuses(answers: &[crate::support::local::Answer], status: Status) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

on_each_database! {
    fn concurrent_requests_share_statements(database: &Database) {
        run(async {
            let gate = Arc::new(std::sync::Mutex::new(()));
            let (loads, loaded) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let store = {
                let (gate, loads, loaded) = (gate.clone(), loads.clone(), loaded.clone());
                HookedStore::new(database.store(), move |call| {
                    if let Call::Load(sessions) = call {
                        loads.fetch_add(1, Ordering::SeqCst);
                        loaded.fetch_add(u32::try_from(sessions).unwrap(), Ordering::SeqCst);
                        drop(gate.lock());
                    }
                    Ok(())
                })
            };
            let config = altered(patient(), |config| config.workers = 1);
            let client = &client(store, config).await;
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let cookies = join_all((0..20).map(|_| new_cookie(client))).await;
            let shut = gate.lock().unwrap();
            let behind = async {
                wait_for("a load is at the gate", async || loads.load(Ordering::SeqCst) == 1).await;
                let requests = (0..100).map(|number| get(client, "/read", Some(&cookies[number % 20])));
                let gather = async {
                    wait_for("all are queued", async || queued(admin, "load") == 100).await;
                    drop(shut);
                };
                join(join_all(requests), gather).await.0
            };
            let (_, answers) = join(get(client, "/read", Some(&cookies[0])), behind).await;
            assert!(answers.iter().all(|answer| answer.body == "1"));
            assert_eq!(loads.load(Ordering::SeqCst), 2, "statements");
            assert_eq!(loaded.load(Ordering::SeqCst), 1 + 20, "rows");
        });
    }

    fn a_panic_of_the_store_fails_its_batch_and_later_requests_succeed(database: &Database) {
        run(async {
            let panics = Arc::new(AtomicU32::new(20));
            let left = Arc::clone(&panics);
            let store = HookedStore::new(database.store(), move |call| {
                let Call::Write(batch) = call else { return Ok(()) };
                let is_marked = batch.saves.iter().any(|save| save.data.contains("panic"));
                let one_less = |left: u32| left.checked_sub(1);
                let order = Ordering::SeqCst;
                assert!(!is_marked || left.fetch_update(order, order, one_less).is_err());
                Ok(())
            });
            let client = &client(store, patient()).await;
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
            let (store, gate) = gated(store);
            let client = &client(store, one_writer()).await;
            let cookies = join_all((0..20).map(|_| new_cookie(client))).await;
            for create in [false, true] {
                let requests = cookies.iter().enumerate().map(|(number, cookie)| async move {
                    let item = if number % 5 == 0 { "poison" } else { "good" };
                    let cookie = (!create).then_some(cookie.as_str());
                    get(client, &format!("/add/{item}"), cookie).await
                });
                let answers = gate.one_batch(client, 20, join_all(requests)).await;
                let expected = if create { (16, 4) } else { (17, 3) };
                let seen = (
                    statuses(&answers, Status::Ok),
                    statuses(&answers, Status::InternalServerError),
                );
                assert_eq!(seen, expected, "creating: {create}");
            }
        });
    }

    fn a_slow_closure_delays_only_its_own_session(database: &Database) {
        run(async {
            let client = &client(database.store(), patient()).await;
            let slow = &new_cookie(client).await;
            let other = &new_cookie(client).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let (answer, ()) = join(get(client, "/stuck", Some(slow)), async {
                gate.arrival().await;
                for count in 2..10 {
                    let counted = get(client, "/count", Some(other)).await;
                    assert_eq!(counted.body, count.to_string());
                }
                assert_eq!(get(client, "/read", Some(slow)).await.body, "1");
                gate.open_closure();
            }).await;
            assert_eq!(answer.body, "2");
        });
    }

    fn hanging_writes_do_not_block_readers(database: &Database) {
        run(async {
            let begun = Arc::new(AtomicU32::new(0));
            let store = {
                let begun = begun.clone();
                HookedStore::new(database.store(), move |call| {
                    if let Call::Write(_) = call {
                        begun.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                })
            };
            let client = &client(store, SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let mut holder = database.connection();
            holder.run(lock_writers_out(database));
            // One of four workers is kept for loads. SQLite has one writer in any case.
            let writers = match database.kind() {
                Kind::Sqlite => 1,
                Kind::Postgres => 3,
            };
            let before = begun.load(Ordering::SeqCst);
            let begun = || begun.load(Ordering::SeqCst) - before;
            // One worker each, while there are any.
            let newcomers = (0..8_u32).map(|number| async move {
                let is_next = async || begun() >= number.min(writers);
                wait_for("the workers before are busy", is_next).await;
                get(client, "/count", None).await
            });
            let (answers, read) = join(join_all(newcomers), async {
                wait_for("all writers are busy", async || begun() >= writers).await;
                get(client, "/read", Some(cookie)).await
            }).await;
            assert_eq!((read.status, read.body.as_str()), (Status::Ok, "1"));
            assert_eq!(statuses(&answers, Status::ServiceUnavailable), 8);
            holder.run("ROLLBACK");
        });
    }

    fn requests_to_an_overloaded_database_are_503_in_time_and_recover(database: &Database) {
        run(async {
            let config = altered(SessionConfig::default(), |config| { config.timeout = Duration::from_secs(1); config.max_queue = 16; });
            let client = &client(database.store(), config).await;
            let mut cookies = Vec::new();
            for _ in 0..10 {
                cookies.push(new_cookie(client).await);
            }
            let mut holder = database.connection();
            holder.run(lock_writers_out(database));
            let requests = (0..100).map(|number| {
                get(client, "/count", Some(cookies[number % 10].as_str()))
            });
            let answers = join_all(requests).await;
            assert_eq!(statuses(&answers, Status::ServiceUnavailable), 100);
            assert!(answers.iter().all(|answer| answer.header("set-cookie").is_none()));
            assert!(answers.iter().all(|answer| answer.header("retry-after") == Some("1")));
            holder.run("ROLLBACK");
            drop(holder);
            wait_for("service returns", async || {
                get(client, "/count", Some(&cookies[0])).await.status == Status::Ok
            })
            .await;
            let requests = cookies.iter().map(|cookie| get(client, "/count", Some(cookie)));
            assert_eq!(statuses(&join_all(requests).await, Status::Ok), 10);
        });
    }
}

on_each_database! {
    fn a_stopped_server_loses_no_acknowledged_write(database: &Database) {
        let server = Server::start(database);
        let mut first = server.client();
        first.visit();
        let acknowledged = AtomicU64::new(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (url, cookie) = (server.url().to_owned(), first.cookie.clone());
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    let mut browser = Browser::new(&url);
                    browser.cookie = cookie;
                    while let Some(reply) = browser.try_get("/api/session/test-session") {
                        if reply.status != 200 {
                            assert_eq!((reply.status, reply.set_cookie), (503, None));
                            break;
                        }
                        let count = reply.json()["visitCount"].as_u64().unwrap();
                        acknowledged.fetch_max(count, Ordering::SeqCst);
                    }
                });
            }
            wait_until("some are counted", || {
                acknowledged.load(Ordering::SeqCst) > 50
            });
            assert_eq!(server.terminate(), Some(0));
        });
        let server = Server::start(database);
        first.set_url(server.url());
        assert!(first.visit() > acknowledged.load(Ordering::SeqCst));
    }
}

#[test]
fn touches_of_the_last_requests_are_written_at_shutdown() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let config = altered(patient(), |config| config.touch_interval = Duration::ZERO);
        let (client, clock) = client_and_clock(database.store(), config).await;
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

/// A thousand increments of one session take a few statements, not a thousand retries.
#[test]
fn i1_updates_of_one_session_are_written_together() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let config = one_writer();
    let statements = i64::from(1000_u32.div_ceil(config.max_batch));
    run(async {
        let (store, gate) = gated(database.store());
        let client = &client(store, config).await;
        let cookie = &new_cookie(client).await;
        let requests = (0..1000).map(|_| get(client, "/count", Some(cookie)));
        let answers = gate.one_batch(client, 1000, join_all(requests)).await;
        assert_eq!(statuses(&answers, Status::Ok), 1000);
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!(metric(admin, "sessions_updated_total"), 1000);
    });
    let newest = "SELECT max(version) AS n FROM sessions";
    assert_eq!(database.number(newest), statements);
}
