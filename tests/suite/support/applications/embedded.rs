//! A small Rocket application, as a user of the library would write it.

mod gate;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use rocket::http::Header;
use rocket::local::asynchronous::Client;
use rocket::{Build, Rocket};
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{SessionConfig, SessionKeys, Sessions};

use super::local::{Answer, SECRET, figment};
use crate::support::altered;

pub(crate) use self::gate::Gate;
pub(crate) use self::routes::{Answered, Cart};

/// Returns settings for tests that must pass on a slow machine.
pub(crate) fn patient() -> SessionConfig {
    altered(SessionConfig::default(), |config| {
        config.timeout = Duration::from_secs(20);
    })
}

/// Returns a clock and the application that uses it.
pub(crate) fn rocket(
    store: Arc<dyn SessionStore>,
    config: SessionConfig,
) -> (Rocket<Build>, Arc<ManualClock>) {
    rocket_with(store, config, |sessions| sessions)
}

/// Returns the application with further settings of its session layer.
pub(crate) fn rocket_with(
    store: Arc<dyn SessionStore>,
    config: SessionConfig,
    set: impl FnOnce(Sessions<Cart>) -> Sessions<Cart>,
) -> (Rocket<Build>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_now());
    let sessions = Sessions::<Cart>::fairing()
        .config(config)
        .keys(SessionKeys::parse(SECRET).unwrap())
        .clock(clock.clone())
        .store(store);
    let sessions = set(sessions);
    let rocket = rocket::custom(figment("debug", ""))
        .attach(sessions)
        .manage(Arc::new(Gate::new()))
        .mount("/", routes::routes());
    (rocket, clock)
}

/// Returns a client of the application.
pub(crate) async fn client(store: Arc<dyn SessionStore>, config: SessionConfig) -> Client {
    client_and_clock(store, config).await.0
}

/// Returns a client of the application, and the application's clock.
pub(crate) async fn client_and_clock(
    store: Arc<dyn SessionStore>,
    config: SessionConfig,
) -> (Client, Arc<ManualClock>) {
    let (rocket, clock) = rocket(store, config);
    (Client::untracked(rocket).await.unwrap(), clock)
}

/// Sends a GET request, with a cookie if there is one.
pub(crate) async fn get(client: &Client, path: &str, cookie: Option<&str>) -> Answer {
    let mut request = client.get(path.to_owned());
    if let Some(cookie) = cookie {
        request.add_header(Header::new("Cookie", cookie.to_owned()));
    }
    Answer::read(request.dispatch().await).await
}

/// Returns the cookie of a new session whose count is 1.
pub(crate) async fn new_cookie(client: &Client) -> String {
    let answer = get(client, "/count", None).await;
    assert_eq!(answer.body, "1");
    answer.cookie().unwrap()
}

/// Runs asynchronous test code.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    rocket::tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}
