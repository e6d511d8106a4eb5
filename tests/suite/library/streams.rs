//! Streams that end with their session: `Session::ended`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use rocket::local::asynchronous::Client;
use rocket::tokio::spawn;
use rocket::tokio::task::JoinHandle;
use rocket::{State, get, routes};
use rocket_diesel_sessions::store::{SessionStore, StoreError};
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{Cause, Session, SessionAdmin, SessionConfig};

use crate::support::embedded::{Cart, get, new_cookie, patient, rocket_with, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Database, altered, metric, wait_for};

const WATCHERS: &str = "sessions_watchers";

/// Streams that have begun and only wait for their session to end.
#[derive(Default)]
struct Streams(Mutex<Vec<JoinHandle<()>>>);

#[get("/watch")]
fn watch(session: Session<Cart>, streams: &State<Streams>) -> String {
    streams.0.lock().unwrap().push(spawn(session.ended()));
    session
        .handle()
        .map(|handle| handle.to_string())
        .unwrap_or_default()
}

/// Ends the session and then waits for its end.
#[get("/watch/ended")]
async fn watch_ended(session: Session<Cart>, streams: &State<Streams>) {
    session.destroy().await.unwrap();
    streams.0.lock().unwrap().push(spawn(session.ended()));
}

/// An instance with streams.
struct Instance {
    client: Client,
    clock: Arc<ManualClock>,
}

/// Settings with which only an end on the same instance is noticed in time.
fn at_once() -> SessionConfig {
    altered(patient(), |config| {
        config.watch_interval = Duration::from_hours(1);
    })
}

fn soon() -> SessionConfig {
    altered(patient(), |config| {
        config.watch_interval = Duration::from_millis(100);
    })
}

impl Instance {
    async fn new(store: Arc<dyn SessionStore>, config: SessionConfig) -> Self {
        let (rocket, clock) = rocket_with(store, config, |sessions| sessions);
        let rocket = rocket.manage(Streams::default());
        let rocket = rocket.mount("/", routes![watch, watch_ended]);
        let client = Client::untracked(rocket).await.unwrap();
        Self { client, clock }
    }

    fn admin(&self) -> &SessionAdmin {
        self.client.rocket().state().unwrap()
    }

    /// Begins a stream. Returns it, and the handle of its session.
    async fn stream(&self, path: &str, cookie: Option<&str>) -> (JoinHandle<()>, String) {
        let handle = get(&self.client, path, cookie).await.body;
        let streams = self.client.rocket().state::<Streams>().unwrap();
        let stream = streams.0.lock().unwrap().pop().unwrap();
        (stream, handle)
    }

    /// Begins a stream of a new session. Returns it, the cookie and the handle.
    async fn begin(&self) -> (JoinHandle<()>, String, String) {
        let cookie = new_cookie(&self.client).await;
        let (stream, handle) = self.stream("/watch", Some(&cookie)).await;
        assert!(!stream.is_finished());
        (stream, cookie, handle)
    }
}

async fn ends(what: &str, stream: &JoinHandle<()>) {
    wait_for(what, async || stream.is_finished()).await;
}

/// A store that counts how often watched sessions are looked up.
struct Asked {
    store: Arc<HookedStore>,
    times: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl Asked {
    fn new(database: &Database) -> Self {
        let (times, fails) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (asked, failing) = (Arc::clone(&times), Arc::clone(&fails));
        let store = HookedStore::new(database.store(), move |call| {
            if matches!(call, Call::FindLive) {
                asked.fetch_add(1, Ordering::SeqCst);
                if failing.load(Ordering::SeqCst) {
                    return Err(StoreError::Broken(Cause::new("cut")));
                }
            }
            Ok(())
        });
        Self {
            store,
            times,
            fails,
        }
    }

    /// Waits until the store has been asked twice more. By then, the first answer was acted upon.
    async fn again(&self) {
        let before = self.times.load(Ordering::SeqCst);
        let is_asked = async || self.times.load(Ordering::SeqCst) >= before + 2;
        wait_for("the store is asked", is_asked).await;
    }
}

on_each_database! {
    fn a_stream_ends_at_once_with_its_session_on_this_instance(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let instance = Instance::new(store, at_once()).await;
            let client = &instance.client;
            let (stream, cookie, _) = instance.begin().await;
            let (second, _) = instance.stream("/watch", Some(&cookie)).await;
            let (other, _, handle) = instance.begin().await;
            get(client, "/logout", Some(&cookie)).await;
            ends("a logout ends the stream", &stream).await;
            ends("a logout ends every stream of the session", &second).await;
            assert!(!other.is_finished());
            instance.admin().revoke(&handle).await.unwrap();
            ends("a revocation ends the stream", &other).await;

            // A login as another user ends the session of the first.
            let cookie = get(client, "/login/ada", None).await.cookie();
            let (stream, _) = instance.stream("/watch", cookie.as_deref()).await;
            database.add_users(&["bob"]);
            get(client, "/login/bob", cookie.as_deref()).await;
            ends("a login of another user ends the stream", &stream).await;

            let (stream, ..) = instance.begin().await;
            instance.clock.advance(TimeDelta::hours(25));
            instance.admin().sweep().await.unwrap();
            ends("a sweep ends the stream", &stream).await;

            let cookie = new_cookie(client).await;
            let (stream, _) = instance.stream("/watch/ended", Some(&cookie)).await;
            ends("the session had ended before", &stream).await;
        });
    }

    fn a_stream_ends_within_the_interval_if_its_session_ends_elsewhere(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let instance = Instance::new(store, soon()).await;
            let other = Instance::new(database.store(), soon()).await;
            let (stream, _, handle) = instance.begin().await;
            other.admin().revoke(&handle).await.unwrap();
            ends("another instance revokes the session", &stream).await;

            let (stream, cookie, _) = instance.begin().await;
            get(&other.client, "/logout", Some(&cookie)).await;
            ends("another instance signs the visitor out", &stream).await;

            let cookie = get(&instance.client, "/login/ada", None).await.cookie();
            let (stream, _) = instance.stream("/watch", cookie.as_deref()).await;
            database.execute("UPDATE users SET disabled_at = updated_at WHERE id = 'ada'");
            ends("the user is disabled", &stream).await;

            let (stream, ..) = instance.begin().await;
            instance.clock.advance(TimeDelta::hours(25));
            ends("the session expires", &stream).await;
            assert_eq!(metric(instance.admin(), WATCHERS), 0);
        });
    }

    fn a_stream_lives_as_long_as_its_session(database: &Database) {
        run(async {
            let asked = Asked::new(database);
            database.add_users(&["ada"]);
            let instance = Instance::new(asked.store.clone(), soon()).await;
            let other = Instance::new(database.store(), soon()).await;
            let (stream, cookie, handle) = instance.begin().await;
            let nothing = instance.stream("/watch", None).await.0;
            asked.again().await;

            let rotated = get(&other.client, "/rotate", Some(&cookie)).await.cookie().unwrap();
            let cookie = get(&instance.client, "/login/ada", Some(&rotated)).await.cookie();
            asked.again().await;
            assert!(!stream.is_finished(), "a new token and a login keep the session");

            // It is used on another instance, so it outlives the deadline known to the first.
            for instance in [&instance, &other] {
                instance.clock.advance(TimeDelta::hours(13));
            }
            let before = database.store().find(&handle.as_str().into()).unwrap().unwrap().expires_at;
            get(&other.client, "/read", cookie.as_deref()).await;
            wait_for("the touch is written", async || {
                database.store().find(&handle.as_str().into()).unwrap().unwrap().expires_at > before
            }).await;
            instance.clock.advance(TimeDelta::hours(13));
            asked.again().await;
            assert!(!stream.is_finished(), "a touch keeps the session");
            assert!(!nothing.is_finished(), "a visitor without a session has nothing to end");
            nothing.abort();
            database.execute("DELETE FROM sessions");
            ends("the session is deleted", &stream).await;
        });
    }

    fn i6_an_outage_ends_no_stream(database: &Database) {
        run(async {
            let asked = Asked::new(database);
            let instance = Instance::new(asked.store.clone(), soon()).await;
            let (stream, ..) = instance.begin().await;
            asked.fails.store(true, Ordering::SeqCst);
            asked.again().await;
            instance.clock.advance(TimeDelta::hours(25));
            asked.again().await;
            assert!(!stream.is_finished());
            asked.fails.store(false, Ordering::SeqCst);
            ends("the store answers again", &stream).await;
        });
    }

    fn a_stream_that_is_dropped_is_no_longer_watched(database: &Database) {
        run(async {
            let asked = Asked::new(database);
            let instance = Instance::new(asked.store.clone(), soon()).await;
            let (stream, cookie, _) = instance.begin().await;
            let (second, _) = instance.stream("/watch", Some(&cookie)).await;
            assert_eq!(metric(instance.admin(), WATCHERS), 2);
            stream.abort();
            wait_for("one is left", async || metric(instance.admin(), WATCHERS) == 1).await;
            asked.again().await;
            assert!(!second.is_finished());
            second.abort();
            wait_for("none is left", async || metric(instance.admin(), WATCHERS) == 0).await;

            // The next stream is watched again.
            let (stream, ..) = instance.begin().await;
            asked.again().await;
            database.execute("DELETE FROM sessions");
            ends("the session is deleted", &stream).await;
        });
    }
}
