//! I6: a new token that does not reach its visitor is withdrawn, and the visitor's old cookie is
//! valid afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::runtime::Builder;
use rocket::{get, routes};
use rocket_diesel_sessions::store::StoreOptions;
use rocket_diesel_sessions::{DieselStore, Session, SessionAdmin, SessionConfig, SessionError};

use crate::support::altered;
use crate::support::embedded::{Cart, Gate, client, get, new_cookie, rocket, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Cluster, Database, Kind, metric, wait_for, wait_until};

fn withdrawn(client: &Client) -> u64 {
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    metric(admin, "sessions_withdrawn_total")
}

on_each_database! {
    fn i6_a_503_after_a_login_leaves_the_visitor_as_before(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let answer = get(client, "/status/503/login/ada", Some(cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
            assert_eq!(get(client, "/user", Some(cookie)).await.body, "-");
            assert_eq!(database.sessions(), 1);
            // A response with any other status delivers the token.
            let answer = get(client, "/status/500/login/ada", Some(cookie)).await;
            let signed_in = answer.cookie().unwrap();
            assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "ada");
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
            // Signing in again is a rotation, so the user is kept.
            get(client, "/status/503/login/ada", Some(&signed_in)).await;
            assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "ada");
            assert_eq!(withdrawn(client), 2);
        });
    }

    fn i6_a_503_after_a_first_login_leaves_no_session(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            database.add_users(&["ada"]);
            for path in ["/status/503/login/ada", "/status/503"] {
                let answer = get(client, path, None).await;
                assert_eq!(answer.header("set-cookie"), None);
                assert_eq!(database.sessions(), 0, "{path}");
            }
        });
    }

    fn i6_a_503_after_a_login_as_another_user_leaves_the_old_session(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            database.add_users(&["ada", "bob"]);
            let bob = &get(client, "/login/bob", None).await.cookie().unwrap();
            assert_eq!(get(client, "/count", Some(bob)).await.body, "1");
            get(client, "/status/503/login/ada", Some(bob)).await;
            assert_eq!(get(client, "/user", Some(bob)).await.body, "bob");
            assert_eq!(get(client, "/count", Some(bob)).await.body, "2");
            assert_eq!(database.sessions(), 1);
            // A delivered response ends it.
            let ada = get(client, "/login/ada", Some(bob)).await.cookie().unwrap();
            assert_eq!(get(client, "/user", Some(&ada)).await.body, "ada");
            assert_eq!(get(client, "/user", Some(bob)).await.body, "-");
            assert_eq!(database.sessions(), 1);
            // The same applies if its data cannot be decoded.
            database.execute("UPDATE sessions SET data = '[]'");
            get(client, "/status/503/login/bob", Some(&ada)).await;
            database.execute("UPDATE sessions SET data = '{}'");
            assert_eq!(get(client, "/user", Some(&ada)).await.body, "ada");
        });
    }

    fn i6_a_503_after_a_rotation_leaves_the_old_token(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            for _ in 0..3 {
                get(client, "/status/503/rotate", Some(cookie)).await;
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
            }
            assert_eq!(get(client, "/count", Some(cookie)).await.body, "2");
        });
    }

    fn i6_a_rotation_cancelled_by_its_handler_is_undone(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let mut cookie = new_cookie(client).await;
            for count in 2..6 {
                gate.open();
                let answer = get(client, "/impatient/rotate", Some(&cookie)).await;
                // The rotation may have been faster.
                cookie = answer.cookie().unwrap_or(cookie);
                let counts = async || {
                    let answer = get(client, "/count", Some(&cookie)).await;
                    answer.header("set-cookie").is_none() && answer.body == count.to_string()
                };
                wait_for("the cookie is good", counts).await;
            }
        });
    }

    fn i3_a_login_over_undecodable_data_leaves_no_old_token_valid(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            database.add_users(&["ada"]);
            let old = &new_cookie(client).await;
            let signed_in = get(client, "/login/ada", Some(old)).await.cookie().unwrap();
            database.execute("UPDATE sessions SET data = '[]'");
            let answer = get(client, "/login/ada", Some(&signed_in)).await;
            let new = answer.cookie().unwrap();
            assert_eq!(database.sessions(), 1);
            assert_eq!(get(client, "/user", Some(&new)).await.body, "ada");
            // For example after a deploy was rolled back.
            database.execute("UPDATE sessions SET data = '{\"count\":7}'");
            assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "-");
            assert_eq!(get(client, "/read", Some(&new)).await.body, "7");
        });
    }

    fn i11_a_rotation_does_not_deadlock_with_its_own_transaction(database: &Database) {
        run(async {
            let (rocket, _) = rocket(database.store(), SessionConfig::default());
            let rocket = rocket.mount("/", routes![rotate_inside]);
            let client = &Client::untracked(rocket).await.unwrap();
            let cookie = &new_cookie(client).await;
            let answer = get(client, "/rotate-inside", Some(cookie)).await;
            assert_eq!(answer.body, "Rotating Rotating Rotating Rotating");
            // The transaction did not rotate the session, so the old cookie is still valid.
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
        });
    }
}

/// The store is late, and the request's task is not polled until the store has answered.
#[test]
fn i6_a_result_polled_after_its_deadline_counts_as_none() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let database = Database::new(Kind::Sqlite).unwrap();
    let is_written = Arc::new(AtomicBool::new(false));
    let written = Arc::clone(&is_written);
    let store = HookedStore::new(database.store(), move |call| {
        if let Call::Write(_) = call {
            // After the moment at which the watch has queued the withdrawal.
            std::thread::sleep(TIMEOUT * 2);
            written.store(true, Ordering::SeqCst);
        }
        Ok(())
    });
    let config = altered(SessionConfig::default(), |config| config.timeout = TIMEOUT);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = &client(store, config).await;
        let (answer, ()) = rocket::tokio::join!(get(client, "/count", None), async {
            rocket::tokio::task::yield_now().await;
            wait_until("it is written", || is_written.load(Ordering::SeqCst));
            wait_until("it is committed", || database.sessions() == 1);
        });
        assert_eq!(answer.status, Status::ServiceUnavailable);
        assert_eq!(answer.header("set-cookie"), None);
        wait_for("it is undone", async || database.sessions() == 0).await;
    });
}

/// Uses the session in the transaction that should rotate it, and does not rotate it.
#[get("/rotate-inside")]
async fn rotate_inside(session: Session<Cart>) -> String {
    let seen = Mutex::new(Vec::new());
    let rotated = session.rotate_with(async |_, _| {
        let results = [
            session.update(|cart| cart.count += 1).await,
            session.rotate().await,
            session.login("ada").await,
            session.logout().await,
        ];
        let results = results.map(|result| format!("{:?}", result.unwrap_err()));
        seen.lock().unwrap().extend(results);
        Err::<(), _>(SessionError::UserRefused)
    });
    assert!(rotated.await.is_err());
    seen.into_inner().unwrap().join(" ")
}

/// Returns whether a commit waits for a standby. The checkpointer informs commits of a new setting a
/// moment later.
fn a_commit_waits(database: &Database) -> bool {
    let mut connection = database.connection();
    let commit = std::thread::spawn(move || {
        connection.run("CREATE TABLE IF NOT EXISTS probe (x int); DROP TABLE probe");
    });
    let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let mut is_waiting = false;
    while !is_waiting && !commit.is_finished() {
        is_waiting = database.number(&format!("SELECT count(*) AS n {waiting}")) > 0;
    }
    database.execute(&format!("SELECT pg_cancel_backend(pid) {waiting}"));
    commit.join().unwrap();
    is_waiting
}

/// While a synchronous standby is away, each commit waits for it, beyond every limit of the server.
#[test]
fn i6_a_commit_that_waits_for_a_missing_standby_is_undone() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let config = altered(SessionConfig::default(), |config| {
        config.timeout = Duration::from_millis(500);
    });
    let options = altered(StoreOptions::default(), |options| {
        options.timeout = config.timeout;
    });
    let store = DieselStore::open(&database.url(), options).unwrap();
    store.migrate().unwrap();
    run(async {
        let client = &client(Arc::new(store), config).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(client).await;
        cluster.tell("standby");
        assert_eq!(get(client, "/count", Some(cookie)).await.body, "2");
        // The standby leaves.
        cluster.tell("promote");
        let set_standbys = |names: &str| {
            let setting = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
            database.execute(&setting);
            database.execute("SELECT pg_reload_conf()");
        };
        for (number, path) in (1..).zip(["/rotate", "/login/ada", "/rotate"]) {
            let answer = get(client, path, Some(cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable, "{path}");
            assert_eq!(answer.header("set-cookie"), None, "{path}");
            // Uncommitted changes are not visible.
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "2", "{path}");
            // The wait ends, and the commit with it.
            set_standbys("");
            wait_for("it is undone", async || withdrawn(client) == number).await;
            assert_eq!(get(client, "/user", Some(cookie)).await.body, "-", "{path}");
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "2", "{path}");
            set_standbys("*");
            wait_until("commits wait again", || a_commit_waits(&database));
        }
    });
}

/// Another program holds SQLite's write lock for longer than requests wait.
#[test]
fn i6_a_login_that_commits_too_late_is_undone() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let config = altered(SessionConfig::default(), |config| {
            config.timeout = Duration::from_millis(300);
        });
        let client = &client(database.store(), config).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(client).await;
        for path in ["/rotate", "/login/ada", "/count"] {
            let mut holder = database.connection();
            holder.run("BEGIN IMMEDIATE");
            let cookie = (path != "/count").then_some(cookie.as_str());
            let answer = get(client, path, cookie).await;
            assert_eq!(answer.status, Status::ServiceUnavailable, "{path}");
            holder.run("ROLLBACK");
        }
        // Everything in progress is done or undone.
        let is_settled = async || {
            let user = get(client, "/user", Some(cookie)).await.body;
            user == "-" && get(client, "/count", Some(cookie)).await.body != "1"
        };
        wait_for("the old cookie is good", is_settled).await;
        wait_for("no one's session is gone", async || {
            database.sessions() == 1
        })
        .await;
    });
}
