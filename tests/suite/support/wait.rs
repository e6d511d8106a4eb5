//! Waiting for conditions.

/// Waits until `condition` holds. Panics, naming `what`, after 20 seconds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Waits until an asynchronous condition holds. Panics, naming `what`, after 20 seconds.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "waited in vain: {what}"
        );
        rocket::tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
