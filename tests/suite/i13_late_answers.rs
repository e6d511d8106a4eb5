//! I13: a token that is being taken back because it came too late is not handed out, even where the
//! request was not looked at in the meantime.

use std::sync::Arc;
use std::time::Duration;

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio;
use rocket_diesel_sessions::{ManualClock, SessionConfig};

use crate::support::embedded::{get, rocket};
use crate::support::faulty::{Fault, FaultyStore};
use crate::support::memory::MemoryStore;
use crate::support::wait_for;

/// A request whose store answers late, on a thread that is busy for longer than that.
fn is_served_or_undone(path: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let memory = Arc::new(MemoryStore::default());
        memory.add("ada");
        let clock = Arc::new(ManualClock::starting_now());
        let store = FaultyStore::new(memory, clock, Duration::from_millis(150));
        let config = SessionConfig {
            timeout: Duration::from_millis(50),
            ..SessionConfig::default()
        };
        let (rocket, _) = rocket(store.clone(), config);
        let client = &Client::untracked(rocket).await.unwrap();
        let before = get(client, "/count", None).await.cookie().unwrap();
        let cookie = (path != "/count").then_some(before.as_str());
        // What is loaded before is answered in time.
        let plan = [Fault::None, Fault::DoneThenLate];
        store.expect(if cookie.is_some() { &plan } else { &plan[1..] });
        let request = get(client, path, cookie);
        let (answer, ()) = tokio::join!(request, async {
            let calls = store.calls();
            wait_for("the store is at it", async || {
                let due = if cookie.is_some() { 2 } else { 1 };
                store.calls() >= calls + due && !store.is_idle()
            })
            .await;
            std::thread::sleep(Duration::from_millis(400));
        });
        store.calm();
        let (status, set) = (answer.status, answer.cookie());
        let is_live = async |cookie: &str| get(client, "/read", Some(cookie)).await.body == "1";
        if status == Status::Ok {
            let new = set.unwrap();
            // Long enough for an undo that is under way.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(is_live(&new).await, "{path}: a dead token was handed out");
        } else {
            assert_eq!((status, set), (Status::ServiceUnavailable, None), "{path}");
            wait_for("the old cookie is good", async || is_live(&before).await).await;
        }
    });
}

#[test]
fn i13_a_new_session_that_came_too_late_is_not_handed_out() {
    is_served_or_undone("/count");
}

#[test]
fn i13_a_rotation_that_came_too_late_is_not_handed_out() {
    is_served_or_undone("/rotate");
}
