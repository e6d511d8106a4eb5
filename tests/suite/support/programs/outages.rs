//! Requirements after an outage.

use super::load::Load;

/// The default settings, except for an early sweep.
pub(crate) const SETTINGS: [(&str, &str); 2] = [
    ("ROCKET_SESSIONS", r#"{cleanup_interval="1s"}"#),
    ("RUST_LOG", "warn,rocket::launch=off"),
];

/// Asserts, when the database is back, that all clients are served again and stay so.
pub(crate) fn assert_back(load: &Load, what: &str) {
    let took = load.wait_until_served();
    eprintln!("{what}: service is back after {took:.1?}");
    let refused = load.refused();
    load.wait_for_counts(100);
    assert_eq!(load.refused(), refused, "{what}: refused again");
}
