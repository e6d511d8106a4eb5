//! What holds after an outage.

use std::time::Duration;

use super::load::Load;

/// Service is back within 2 s of the database; other tests run meanwhile.
const BACK_WITHIN: Duration = Duration::from_secs(4);

/// Settings as they are by default, but for a sweep that is soon.
pub(crate) const SETTINGS: [(&str, &str); 2] = [
    ("ROCKET_SESSIONS", r#"{cleanup_interval="1s"}"#),
    ("RUST_LOG", "warn,rocket::launch=off"),
];

/// From now on, when the database is back, all clients are served soon, and stay so.
pub(crate) fn assert_back(load: &Load, what: &str) {
    let took = load.wait_until_served();
    eprintln!("{what}: service is back after {took:.1?}");
    assert!(took < BACK_WITHIN, "{what}: {took:.1?}");
    let refused = load.refused();
    load.wait_for_counts(100);
    assert_eq!(load.refused(), refused, "{what}: refused again");
}
