//! Undos that meet each other, other logins, locked rows and the shutdown.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::sync::Semaphore;
use rocket::{State, get, routes};
use rocket_diesel_sessions::store::{SessionStore, StoreError};
use rocket_diesel_sessions::{Session, SessionConfig, SessionError};

use crate::support::altered;
use crate::support::embedded::{Cart, get, new_cookie, rocket, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Database, Kind, holds_for, wait_for};

/// The gates at which handlers wait: before and after the login.
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
    altered(SessionConfig::default(), |config| {
        config.timeout = Duration::from_millis(300);
    })
}

on_each_database! {
    fn i6_two_logins_answered_503_leave_the_old_cookie_valid(database: &Database) {
        run(async {
            let gates = &Gates::new();
            let client = &client(database.store(), SessionConfig::default(), gates).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let answered = &Semaphore::new(0);
            let first = async {
                let answer = get(client, "/tab/0/ada", Some(cookie)).await;
                answered.add_permits(1);
                answer
            };
            let second = get(client, "/tab/1/ada", Some(cookie));
            let conduct = async {
                gates.arrived.acquire_many(2).await.unwrap().forget();
                gates.before.add_permits(1);
                gates.logged_in.acquire().await.unwrap().forget();
                gates.before.add_permits(1);
                gates.logged_in.acquire().await.unwrap().forget();
                // The first login is undone under the second's token.
                gates.after[0].add_permits(1);
                answered.acquire().await.unwrap().forget();
                gates.after[1].add_permits(1);
            };
            let ((one, two), ()) = join(join(first, second), conduct).await;
            assert_eq!((one.status.code, two.status.code), (503, 503));
            let is_good = async || get(client, "/read", Some(cookie)).await.body == "1";
            wait_for("the old cookie is good", is_good).await;
        });
    }

    fn i2_an_undo_restores_exactly_the_session_that_the_login_changed(database: &Database) {
        let (arrived, has_arrived) = channel();
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        let is_first = AtomicBool::new(true);
        let store = HookedStore::new(database.store(), move |call| {
            if matches!(call, Call::Login) && is_first.swap(false, Ordering::SeqCst) {
                arrived.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            }
            Ok(())
        });
        run(async {
            let client = &client(store, SessionConfig::default(), &Gates::new()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let cancelled = get(client, "/status/503/login/ada", Some(cookie));
            let other = async {
                wait_for("the login is under way", async || has_arrived.try_recv().is_ok()).await;
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

    fn i6_undos_that_fail_at_first_succeed_in_any_order(database: &Database) {
        // They fail until the visitor is answered, and some more times in the background.
        let answered = Arc::new(AtomicBool::new(false));
        let (is_answered, fails) = (Arc::clone(&answered), AtomicUsize::new(4));
        let store = HookedStore::new(database.store(), move |call| {
            let one_less = |left: usize| left.checked_sub(1);
            let fails = matches!(call, Call::Withdraw)
                && (!is_answered.load(Ordering::SeqCst)
                    || fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok());
            if fails { Err(StoreError::TooLate) } else { Ok(()) }
        });
        run(async {
            let client = &client(store, short(), &Gates::new()).await;
            let cookie = &new_cookie(client).await;
            assert_eq!(get(client, "/twice", Some(cookie)).await.status.code, 503);
            answered.store(true, Ordering::SeqCst);
            wait_for("the old cookie is good", async || {
                get(client, "/read", Some(cookie)).await.body == "1"
            })
            .await;
        });
    }

    fn i6_a_response_does_not_wait_long_for_an_undo(database: &Database) {
        let (answered, is_answered) = channel();
        let is_answered = Mutex::new(is_answered);
        let has_waited = Arc::new(AtomicBool::new(false));
        let waited = Arc::clone(&has_waited);
        let store = HookedStore::new(database.store(), move |call| {
            if matches!(call, Call::Withdraw) {
                // The channel closes with the answer, too.
                let answer = is_answered.lock().unwrap().recv_timeout(Duration::from_secs(20));
                let is_late = answer == Err(RecvTimeoutError::Timeout);
                waited.fetch_or(is_late, Ordering::SeqCst);
            }
            Ok(())
        });
        run(async {
            let client = &client(store, SessionConfig::default(), &Gates::new()).await;
            let cookie = &new_cookie(client).await;
            let answer = get(client, "/status/503/rotate", Some(cookie)).await;
            drop::<Sender<()>>(answered);
            assert_eq!(answer.status.code, 503);
            assert!(!has_waited.load(Ordering::SeqCst), "the answer waits for the undo");
            wait_for("the old cookie is good", async || {
                get(client, "/read", Some(cookie)).await.body == "1"
            })
            .await;
        });
    }
}

/// Locks more rows than there are workers, from the login until the test has observed other
/// requests. They must not wait as long as the lock timeout, which is set high.
#[test]
fn i11_undos_of_locked_rows_delay_no_one_else() {
    const HELD: usize = 16;
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let undos = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&undos);
    let store = HookedStore::new(database.store(), move |call| {
        if matches!(call, Call::Withdraw) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    run(async {
        let config = altered(SessionConfig::default(), |config| {
            config.timeout = Duration::from_secs(20);
        });
        let lock_wait = config.timeout / 4;
        let gates = &Gates::new();
        let client = &client(store, config, gates).await;
        database.add_users(&["ada"]);
        let cookies = join_all((0..HELD).map(|_| new_cookie(client))).await;
        let permits = u32::try_from(HELD).unwrap();
        let conduct = async {
            gates.before.add_permits(HELD);
            let all = gates.logged_in.acquire_many(permits);
            all.await.unwrap().forget();
            let mut holder = database.connection();
            holder.run("BEGIN; SELECT 1 FROM sessions FOR UPDATE");
            gates.after[0].add_permits(HELD);
            let mut slowest = Duration::ZERO;
            // The undos find their rows locked more than once.
            while undos.load(Ordering::SeqCst) < 3 * HELD {
                let start = Instant::now();
                assert_eq!(get(client, "/count", None).await.status, Status::Ok);
                slowest = slowest.max(start.elapsed());
            }
            holder.run("ROLLBACK");
            slowest
        };
        let logins = cookies
            .iter()
            .map(|cookie| get(client, "/tab/0/ada", Some(cookie)));
        let (_, slowest) = join(join_all(logins), conduct).await;
        assert!(
            slowest < lock_wait,
            "{slowest:?}, of a lock wait of {lock_wait:?}"
        );
        for cookie in &cookies {
            wait_for("the old cookie is good", async || {
                get(client, "/read", Some(cookie)).await.body == "1"
            })
            .await;
        }
    });
}

/// Stops a server during a login whose request was cancelled.
#[test]
fn i6_a_shutdown_waits_for_the_undo_of_a_login_in_progress() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (arrived, mut has_arrived) = rocket::tokio::sync::mpsc::unbounded_channel();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let store = HookedStore::new(database.store(), move |call| {
        if matches!(call, Call::Login) {
            arrived.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
        }
        Ok(())
    });
    run(async {
        let first = client(store, SessionConfig::default(), &Gates::new()).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(&first).await;
        rocket::tokio::select! {
            _ = get(&first, "/login/ada", Some(cookie)) => panic!("the login is held up"),
            _ = has_arrived.recv() => {}
        }
        let end = std::thread::spawn(move || drop(first));
        holds_for("the end waits", Duration::from_millis(300), || {
            !end.is_finished()
        });
        go.send(()).unwrap();
        wait_for("the end comes", async || end.is_finished()).await;
        end.join().unwrap();
        let again = client(database.store(), SessionConfig::default(), &Gates::new()).await;
        assert_eq!(get(&again, "/read", Some(cookie)).await.body, "1");
    });
}
