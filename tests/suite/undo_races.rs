//! Undos that meet each other, other logins, held rows and the end; and other races of rules under
//! adversity.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocket::futures::future::join;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::sync::Semaphore;
use rocket::{State, get, routes};
use rocket_diesel_sessions::{
    Session, SessionAdmin, SessionConfig, SessionError, SessionStore, StoreError,
};

use crate::support::embedded::{Cart, get, new_cookie, rocket, run};
use crate::support::spy::{At, Spy};
use crate::support::{Database, Kind, metric, wait_for};

/// Where handlers wait: before and after the login.
struct Gates {
    before: Semaphore,
    logged_in: Semaphore,
    after: [Semaphore; 2],
    arrived: Semaphore,
}

impl Gates {
    fn new() -> Arc<Self> {
        let gate = || Semaphore::new(0);
        Arc::new(Self {
            before: gate(),
            logged_in: gate(),
            after: [gate(), gate()],
            arrived: gate(),
        })
    }
}

#[get("/tab/<tab>/<user>")]
async fn tab(
    session: Session<Cart>,
    gates: &State<Arc<Gates>>,
    tab: usize,
    user: &str,
) -> Result<Status, SessionError> {
    gates.arrived.add_permits(1);
    gates.before.acquire().await.unwrap().forget();
    session.login(user).await?;
    gates.logged_in.add_permits(1);
    gates.after[tab].acquire().await.unwrap().forget();
    Ok(Status::ServiceUnavailable)
}

#[get("/twice")]
async fn twice(session: Session<Cart>) -> Result<Status, SessionError> {
    session.rotate().await?;
    session.rotate().await?;
    Ok(Status::ServiceUnavailable)
}

async fn client(store: Arc<dyn SessionStore>, config: SessionConfig, gates: &Arc<Gates>) -> Client {
    let (rocket, _) = rocket(store, config);
    let rocket = rocket
        .manage(Arc::clone(gates))
        .mount("/", routes![tab, twice]);
    Client::untracked(rocket).await.unwrap()
}

fn short() -> SessionConfig {
    SessionConfig {
        timeout: Duration::from_millis(300),
        ..SessionConfig::default()
    }
}

on_each_database! {
    fn i6_two_logins_that_are_answered_503_leave_the_old_cookie(database: &Database) {
        run(async {
            let gates = &Gates::new();
            let client = &client(database.store(), SessionConfig::default(), gates).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let first = get(client, "/tab/0/ada", Some(cookie));
            let second = get(client, "/tab/1/ada", Some(cookie));
            let conduct = async {
                gates.arrived.acquire_many(2).await.unwrap().forget();
                gates.before.add_permits(1);
                gates.logged_in.acquire().await.unwrap().forget();
                gates.before.add_permits(1);
                gates.logged_in.acquire().await.unwrap().forget();
                gates.after[0].add_permits(1);
                rocket::tokio::time::sleep(Duration::from_millis(300)).await;
                gates.after[1].add_permits(1);
            };
            let ((one, two), ()) = join(join(first, second), conduct).await;
            assert_eq!((one.status.code, two.status.code), (503, 503));
            let is_good = async || get(client, "/read", Some(cookie)).await.body == "1";
            wait_for("the old cookie is good", is_good).await;
        });
    }

    fn i2_an_undo_brings_back_what_the_login_itself_replaced(database: &Database) {
        let (arrived, has_arrived) = channel();
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        let is_first = AtomicBool::new(true);
        let spy = Spy::new(database, move |at| {
            if at == At::BeforeLogin && is_first.swap(false, Ordering::SeqCst) {
                arrived.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            }
            Ok(())
        });
        run(async {
            let client = &client(spy, SessionConfig::default(), &Gates::new()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let cancelled = get(client, "/status/503/login/ada", Some(cookie));
            let other = async {
                while has_arrived.try_recv().is_err() {
                    rocket::tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let told = get(client, "/login/ada", Some(cookie)).await.cookie().unwrap();
                assert_eq!(get(client, "/count", Some(&told)).await.body, "2");
                go.send(()).unwrap();
                told
            };
            let (answer, told) = join(cancelled, other).await;
            assert_eq!(answer.status.code, 503);
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "0",
                "the anonymous token, which a login has replaced, serves the user's data again");
            assert_eq!(get(client, "/user", Some(&told)).await.body, "ada");
        });
    }

    fn i6_undos_that_fail_at_first_are_done_in_any_order(database: &Database) {
        let began: Mutex<Option<Instant>> = Mutex::new(None);
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let spy = Spy::new(database, move |at| {
            if at == At::BeforeWithdraw {
                seen.fetch_add(1, Ordering::SeqCst);
                let mut began = began.lock().unwrap();
                if began.get_or_insert_with(Instant::now).elapsed() < Duration::from_millis(850) {
                    return Err(StoreError::TooLate);
                }
            }
            Ok(())
        });
        run(async {
            let client = &client(spy, short(), &Gates::new()).await;
            let cookie = &new_cookie(client).await;
            assert_eq!(get(client, "/twice", Some(cookie)).await.status.code, 503);
            wait_for("the old cookie is good", async || {
                get(client, "/read", Some(cookie)).await.body == "1"
            })
            .await;
        });
    }


    fn i6_an_answer_waits_for_no_undo_for_long(database: &Database) {
        let spy = Spy::new(database, |at| {
            match at {
                At::BeforeWithdraw => std::thread::sleep(Duration::from_secs(3)),
                At::AfterRotate => {
                    std::thread::sleep(Duration::from_millis(800));
                }
                At::BeforeLogin | At::BeforeLoad | At::Probe => {}
            }
            Ok(())
        });
        run(async {
            let config = SessionConfig { timeout: Duration::from_secs(1), ..SessionConfig::default() };
            let client = &client(spy, config, &Gates::new()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let start = Instant::now();
            let answer = get(client, "/status/503/rotate", Some(cookie)).await;
            assert_eq!(answer.status.code, 503);
            let took = start.elapsed();
            assert!(took < Duration::from_millis(1300), "{took:?}");
        });
    }
}

/// The row of one visitor is held while the undo of its token waits: what becomes of others?
#[test]
fn i11_an_undo_of_a_held_row_keeps_no_one_waiting() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let gates = &Gates::new();
        let client = &client(database.store(), SessionConfig::default(), gates).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(client).await;
        let conduct = async {
            gates.before.add_permits(1);
            gates.logged_in.acquire().await.unwrap().forget();
            let mut holder = database.connection();
            holder.run("BEGIN; SELECT 1 FROM sessions FOR UPDATE");
            gates.after[0].add_permits(1);
            let mut slowest = Duration::ZERO;
            let mut failed = 0;
            let start = Instant::now();
            let mut made = 0;
            while start.elapsed() < Duration::from_secs(8) {
                let began = Instant::now();
                let answer = get(client, "/count", None).await;
                failed += usize::from(answer.status.code != 200);
                slowest = slowest.max(began.elapsed());
                made += 1;
            }
            drop(holder);
            (slowest, failed, made)
        };
        let (_, (slowest, failed, made)) =
            join(get(client, "/tab/0/ada", Some(cookie)), conduct).await;
        assert!(
            failed == 0 && slowest < Duration::from_millis(500),
            "slowest {slowest:?}, {failed} of {made} failed"
        );
    });
}

/// Writes wait for a lock of the table, as while an index is made. Reads need not.
#[test]
fn i11_touches_that_wait_for_a_lock_of_the_table_keep_no_reader_out() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let (rocket, clock) = rocket(database.store(), SessionConfig::default());
        let client = &Client::untracked(rocket).await.unwrap();
        let mut cookies = Vec::new();
        for _ in 0..256 {
            cookies.push(new_cookie(client).await);
        }
        clock.advance(chrono::TimeDelta::minutes(6));
        let mut holder = database.connection();
        holder.run("BEGIN; LOCK TABLE sessions IN SHARE MODE");
        let start = Instant::now();
        let (mut failed, mut made, mut slowest) = (0, 0, Duration::ZERO);
        while start.elapsed() < Duration::from_secs(8) {
            let began = Instant::now();
            let all = cookies
                .iter()
                .map(|cookie| get(client, "/read", Some(cookie)));
            for answer in rocket::futures::future::join_all(all).await {
                made += 1;
                failed += usize::from(answer.status.code != 200);
            }
            slowest = slowest.max(began.elapsed());
            rocket::tokio::time::sleep(Duration::from_millis(50)).await;
        }
        holder.run("ROLLBACK");
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!((failed, made > 1000), (0, true), "slowest {slowest:?}");
        assert_eq!(metric(admin, "sessions_abandoned_total{kind=\"write\"}"), 0);
        assert_eq!(get(client, "/count", None).await.status.code, 200);
    });
}

/// A server is stopped while a login is under way whose request was cancelled.
#[test]
fn i6_an_end_waits_for_the_undo_of_a_login_that_is_under_way() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let spy = Spy::new(&database, |at| {
        if at == At::BeforeLogin {
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    });
    run(async {
        let first = client(spy, SessionConfig::default(), &Gates::new()).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(&first).await;
        let login = get(&first, "/login/ada", Some(cookie));
        let cancelled = rocket::tokio::time::timeout(Duration::from_millis(200), login).await;
        assert!(cancelled.is_err());
        let start = Instant::now();
        drop(first);
        eprintln!("shutdown took {:?}", start.elapsed());
        rocket::tokio::time::sleep(Duration::from_secs(2)).await;
        let again = client(database.store(), SessionConfig::default(), &Gates::new()).await;
        assert_eq!(get(&again, "/read", Some(cookie)).await.body, "1");
    });
}

#[test]
fn i1_a_hot_session_whose_row_is_held_for_a_moment_loses_nothing() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let client = &client(database.store(), SessionConfig::default(), &Gates::new()).await;
        let cookie = &new_cookie(client).await;
        let mut holder = database.connection();
        holder.run("BEGIN; SELECT 1 FROM sessions FOR UPDATE");
        let all = (0..200).map(|_| get(client, "/count", Some(cookie)));
        let all = rocket::futures::future::join_all(all);
        let release = async {
            rocket::tokio::time::sleep(Duration::from_millis(300)).await;
            holder.run("ROLLBACK");
        };
        let (answers, ()) = join(all, release).await;
        let mut values: Vec<u64> = answers
            .iter()
            .filter(|answer| answer.status.code == 200)
            .map(|answer| answer.body.parse().unwrap())
            .collect();
        values.sort_unstable();
        let served = values.len();
        values.dedup();
        assert_eq!((served, values.len()), (200, 200));
        assert_eq!(get(client, "/read", Some(cookie)).await.body, "201");
    });
}

/// Four probes hang on connections that never come back; then the database is back for new ones.
#[test]
fn i6_an_outage_ends_by_itself_after_probes_that_hang() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let is_out = Arc::new(AtomicBool::new(false));
    let (out, probes) = (Arc::clone(&is_out), Arc::new(AtomicUsize::new(0)));
    let sent = Arc::clone(&probes);
    let spy = Spy::new(&database, move |at| {
        match at {
            At::BeforeLoad if out.load(Ordering::SeqCst) => {
                return Err(StoreError::Connect {
                    database: String::new(),
                    reason: "cut".to_owned(),
                    permanent: false,
                });
            }
            At::Probe if sent.fetch_add(1, Ordering::SeqCst) < 4 => {
                std::thread::sleep(Duration::from_secs(45));
            }
            _ => {}
        }
        Ok(())
    });
    run(async {
        let client = &client(spy, short(), &Gates::new()).await;
        let cookie = &new_cookie(client).await;
        is_out.store(true, Ordering::SeqCst);
        assert_eq!(get(client, "/read", Some(cookie)).await.status.code, 503);
        wait_for("four probes hang", async || {
            probes.load(Ordering::SeqCst) >= 4
        })
        .await;
        is_out.store(false, Ordering::SeqCst);
        wait_for("service is back", async || {
            get(client, "/read", Some(cookie)).await.status.code == 200
        })
        .await;
    });
}
