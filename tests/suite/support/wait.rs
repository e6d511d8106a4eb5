//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Time limit of a wait for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two checks of a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `condition` holds. Panics, naming `what`, after 20 seconds.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, condition);
}

/// Waits until `condition` holds, for programs that take their time. Panics, naming `what`, after
/// 90 seconds.
pub(crate) fn wait_patiently(what: &str, condition: impl FnMut() -> bool) {
    wait_within(Duration::from_secs(90), what, condition);
}

fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited in vain: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Waits until an asynchronous condition holds. Panics, naming `what`, after 20 seconds.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        rocket::tokio::time::sleep(LOOK).await;
    }
}

/// Asserts that `condition` holds and continues to hold for `time`. Use it for events that must not
/// happen by themselves. On a slow machine it observes less, but never fails for that reason.
pub(crate) fn holds_for(what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(condition(), "no longer: {what}");
        std::thread::sleep(LOOK);
    }
}
