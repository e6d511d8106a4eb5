//! I6 for a custom store: an error that it does not explain is an outage, never a logout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::SessionConfig;
use rocket_diesel_sessions::store::StoreError;
use rocket_diesel_sessions::testing::ManualClock;

use crate::support::embedded::{get, new_cookie, rocket, run};
use crate::support::faulty::{Failure, Fault, FaultyStore};
use crate::support::hooked::HookedStore;
use crate::support::memory::MemoryStore;
use crate::support::{Database, Kind, wait_for};

/// Returns a store that fails like one over a network while `is_out`.
fn remote(is_out: &Arc<AtomicBool>, database: &Database) -> Arc<HookedStore> {
    let is_out = Arc::clone(is_out);
    HookedStore::new(database.store(), move |_| {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        if is_out.load(Ordering::SeqCst) {
            return Err(StoreError::other(refused));
        }
        Ok(())
    })
}

#[test]
fn i6_an_unexplained_error_of_a_store_is_a_503_and_no_logout() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let is_out = Arc::new(AtomicBool::new(false));
    let store = remote(&is_out, &database);
    database.add_users(&["ada"]);
    run(async {
        let (rocket, _) = rocket(store, SessionConfig::default());
        let client = &Client::untracked(rocket).await.unwrap();
        let anonymous = new_cookie(client).await;
        let signed_in = get(client, "/login/ada", None).await.cookie().unwrap();
        is_out.store(true, Ordering::SeqCst);
        for cookie in [&anonymous, &signed_in] {
            for path in ["/read", "/count", "/rotate", "/login/ada", "/logout"] {
                let answer = get(client, path, Some(cookie)).await;
                assert_eq!(answer.status.code, 503, "{path}");
                assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
                assert_eq!(answer.header("set-cookie"), None, "{path}");
            }
        }
        // Someone without a session gets none either.
        let answer = get(client, "/count", None).await;
        assert_eq!(
            (answer.status.code, answer.header("set-cookie")),
            (503, None)
        );
        is_out.store(false, Ordering::SeqCst);
        wait_for("service is back", async || {
            get(client, "/read", Some(&anonymous)).await.status.code == 200
        })
        .await;
        assert_eq!(get(client, "/count", Some(&anonymous)).await.body, "2");
        assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "ada");
    });
}

/// It is unknown whether the failed write was committed. It is not repeated, and an undelivered
/// token is withdrawn.
#[test]
fn i6_a_write_with_an_unexplained_error_is_not_repeated() {
    let memory = Arc::new(MemoryStore::default());
    memory.add("ada");
    let clock = Arc::new(ManualClock::starting_now());
    let config = SessionConfig::default();
    let store = FaultyStore::new(memory, clock, config.timeout * 2);
    let faults = Arc::clone(&store);
    run(async {
        let (rocket, _) = rocket(store, config);
        let client = &Client::untracked(rocket).await.unwrap();
        let cookie = &new_cookie(client).await;
        let done = Fault::DoneThenFail(Failure::Other);
        // The load, and then the write.
        faults.expect(&[Fault::None, done]);
        assert_eq!(get(client, "/count", Some(cookie)).await.status.code, 503);
        wait_for("the count was written once", async || {
            get(client, "/read", Some(cookie)).await.body == "2"
        })
        .await;
        faults.expect(&[Fault::None, done]);
        assert_eq!(get(client, "/rotate", Some(cookie)).await.status.code, 503);
        wait_for("the old token is good again", async || {
            get(client, "/count", Some(cookie)).await.body == "3"
        })
        .await;
    });
}
