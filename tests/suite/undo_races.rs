//! Attacks on the nine rules: each of these fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rocket::futures::future::join;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::sync::Semaphore;
use rocket::{State, get, routes};
use rocket_diesel_sessions::{
    Deleted, DieselStore, ListSessions, LoginOutcome, LoginSession, Revocation, RotateOutcome,
    RotateSession, Session, SessionConfig, SessionError, SessionRecord, SessionStore, StoreError,
    SweepBatch, Swept, Withdrawal, WriteBatch, Written,
};
use uuid::Uuid;

use crate::support::embedded::{Cart, get, new_cookie, rocket, run};
use crate::support::{Database, Kind, wait_for};

#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    BeforeLogin,
    AfterRotate,
    BeforeWithdraw,
    BeforeLoad,
    Probe,
}

struct Spy {
    inner: Arc<DieselStore>,
    hook: Box<dyn Fn(At) -> Result<(), StoreError> + Send + Sync>,
}

impl Spy {
    fn new(
        database: &Database,
        hook: impl Fn(At) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: database.store(),
            hook: Box::new(hook),
        })
    }
}

impl SessionStore for Spy {
    fn load(&self, ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        (self.hook)(At::BeforeLoad)?;
        self.inner.load(ids)
    }
    fn find(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.find(id)
    }
    fn write(&self, batch: &WriteBatch<'_>) -> Result<Written, StoreError> {
        self.inner.write(batch)
    }
    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.inner.rotate(rotations)
    }
    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        let outcome = self.inner.try_rotate(rotations);
        (self.hook)(At::AfterRotate)?;
        outcome
    }
    fn try_delete(&self, ids: &[String]) -> Result<Deleted, StoreError> {
        self.inner.try_delete(ids)
    }
    fn withdraw(&self, all: &[Withdrawal], now: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        (self.hook)(At::BeforeWithdraw)?;
        self.inner.withdraw(all, now)
    }
    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        Ok(self.login_from(login)?.0)
    }
    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        (self.hook)(At::BeforeLogin)?;
        self.inner.login_from(login)
    }
    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<String>>, StoreError> {
        self.inner.revoke(revocation)
    }
    fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        self.inner.delete(ids)
    }
    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<String>, StoreError> {
        self.inner.clear(now, limit)
    }
    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.list(query)
    }
    fn sweep(&self, batch: &SweepBatch) -> Result<Swept, StoreError> {
        self.inner.sweep(batch)
    }
    fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping()
    }
    fn probe(&self) -> Result<(), StoreError> {
        (self.hook)(At::Probe)?;
        self.inner.ping()
    }
    fn max_writers(&self) -> usize {
        self.inner.max_writers()
    }
}

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
    fn a1_1_two_tabs_sign_in_and_both_are_answered_503(database: &Database) {
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
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "1", "the old cookie is good");
        });
    }

    fn a1_2_an_undo_takes_back_a_login_that_was_told(database: &Database) {
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

    fn a1_3_undos_of_one_request_that_fail_at_first_are_done_out_of_order(database: &Database) {
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

    fn a1_4_a_token_that_was_told_late_is_undone(database: &Database) {
        let spy = Spy::new(database, |at| {
            if at == At::AfterRotate {
                std::thread::sleep(Duration::from_millis(500));
            }
            Ok(())
        });
        run(async {
            let client = &client(spy, short(), &Gates::new()).await;
            let cookie = &new_cookie(client).await;
            // Another handler keeps the runtime's thread busy meanwhile.
            let busy = async {
                rocket::tokio::time::sleep(Duration::from_millis(50)).await;
                std::thread::sleep(Duration::from_millis(900));
            };
            let (answer, ()) = join(get(client, "/rotate", Some(cookie)), busy).await;
            rocket::tokio::time::sleep(Duration::from_millis(300)).await;
            let good = answer.cookie().unwrap_or_else(|| cookie.clone());
            assert_eq!(get(client, "/read", Some(&good)).await.body, "1", "{}", answer.status);
        });
    }

    fn a1_5_a_503_after_a_login_as_another_user_ends_the_old_session(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default(), &Gates::new()).await;
            database.add_users(&["ada", "bob"]);
            let cookie = &new_cookie(client).await;
            let bob = get(client, "/login/bob", Some(cookie)).await.cookie().unwrap();
            assert_eq!(get(client, "/status/503/login/ada", Some(&bob)).await.status.code, 503);
            assert_eq!(get(client, "/user", Some(&bob)).await.body, "bob");
        });
    }

    fn a1_5b_a_503_after_a_login_ends_the_oldest_device(database: &Database) {
        run(async {
            let config = SessionConfig { max_sessions_per_user: 1, ..SessionConfig::default() };
            let client = &client(database.store(), config, &Gates::new()).await;
            database.add_users(&["ada"]);
            let phone = get(client, "/login/ada", None).await.cookie().unwrap();
            assert_eq!(get(client, "/status/503/login/ada", None).await.status.code, 503);
            assert_eq!(get(client, "/user", Some(&phone)).await.body, "ada");
        });
    }

    fn a1_7_a_503_comes_within_the_timeout(database: &Database) {
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
fn a1_6_an_undo_of_a_held_row_keeps_no_one_waiting() {
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

/// As after an outage: many undos at once, on a database that is a few milliseconds away.
#[test]
fn a1_8_many_undos_take_no_longer_than_other_batches() {
    use rocket_diesel_sessions::NewSession;
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let server = database.direct_url().rsplit_once('/').unwrap().0.to_owned();
    let (proxy, url) = crate::support::proxy::Proxy::before(&server);
    let _ = database.store();
    let database = database.reached_by(&url);
    let options = rocket_diesel_sessions::StoreOptions::default();
    let store = DieselStore::open(&database.url(), options).unwrap();
    let made: Vec<NewSession> = (0..256).map(|_| crate::store::new_session(None)).collect();
    store.create(&made).unwrap();
    let undos: Vec<Withdrawal> = made
        .iter()
        .map(|new| Withdrawal {
            id: new.id.clone(),
            session_id: new.session_id,
            previous: Some(Box::new(SessionRecord {
                session_id: Uuid::now_v7(),
                ..new.clone().into_record()
            })),
            is_rotation: true,
        })
        .collect();
    proxy.delay(Duration::from_millis(5));
    let start = Instant::now();
    store.ping().unwrap();
    let ping = start.elapsed();
    let start = Instant::now();
    store.withdraw(&undos, Utc::now()).unwrap();
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(1),
        "withdraw of 256: {took:?}, ping {ping:?}"
    );
}

/// Writes wait for a lock of the table, as while an index is made. Reads need not.
#[test]
fn a1_9_reads_are_served_while_touches_wait_for_a_lock_of_the_table() {
    use rocket_diesel_sessions::SessionAdmin;
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
        while start.elapsed() < Duration::from_secs(110) {
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
        let text = admin.metrics();
        let abandoned: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("abandoned_total{") || line.contains("connections"))
            .collect();
        let start = Instant::now();
        let answer = get(client, "/count", None).await;
        panic!(
            "{failed} of {made} reads failed, slowest {slowest:?}; {abandoned:?}; first write \
             afterwards {} {:?}",
            answer.status,
            start.elapsed()
        );
    });
}

/// A server is stopped while a login is under way whose request was cancelled.
#[test]
fn a1_11_a_shutdown_waits_for_the_undo_of_a_login_that_is_under_way() {
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
fn a1_12_a_hot_session_whose_row_is_held_for_a_moment_loses_nothing() {
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

/// The same for longer than jobs wait: who is refused is not written.
#[test]
fn a1_13_a_hot_session_whose_row_is_held_for_long_counts_what_it_acknowledges() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let client = &client(database.store(), SessionConfig::default(), &Gates::new()).await;
        let cookie = &new_cookie(client).await;
        let mut holder = database.connection();
        holder.run("BEGIN; SELECT 1 FROM sessions FOR UPDATE");
        let all = (0..50).map(|n| async move {
            rocket::tokio::time::sleep(Duration::from_millis(n * 20)).await;
            get(client, "/count", Some(cookie)).await
        });
        let all = rocket::futures::future::join_all(all);
        let release = async {
            rocket::tokio::time::sleep(Duration::from_millis(800)).await;
            holder.run("ROLLBACK");
        };
        let (answers, ()) = join(all, release).await;
        let served = answers
            .iter()
            .filter(|answer| answer.status.code == 200)
            .count();
        eprintln!("{served} of 50 served");
        let read = get(client, "/read", Some(cookie)).await.body;
        assert_eq!(read, (served + 1).to_string());
    });
}

/// Four probes hang on connections that never come back; then the database is back for new ones.
#[test]
fn a1_14_an_outage_ends_by_itself_after_four_probes_that_hang() {
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
