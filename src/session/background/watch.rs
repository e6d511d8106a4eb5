//! Watches sessions for the end of those that end on other instances, in the database, or by their
//! deadlines.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rocket::tokio::spawn;
use rocket::tokio::time::sleep;

use crate::session::error::SessionError;
use crate::session::fairing::shared::Shared;
use crate::session::observe::monitor::Monitor;
use crate::session::observe::watchers::Asking;
use crate::session::pipeline::Pipeline;
use crate::store::SessionHandle;

/// Maximum number of sessions that one call of the store asks about.
const BATCH: usize = 1000;

/// Returns a future that resolves when the session with this handle ends. It is registered at once,
/// and dropping it unregisters it.
pub(crate) fn ended(
    shared: &Shared,
    handle: SessionHandle,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let monitor = Arc::clone(&shared.monitor);
    let watcher = monitor.watchers.watch(handle);
    // A future that outlives the server must not keep its workers.
    let pipeline = Arc::downgrade(&shared.pipeline);
    let interval = shared.watch_interval;
    async move {
        if let Some(asking) = monitor.watchers.begin_asking() {
            spawn(ask(asking, pipeline, monitor, interval));
        }
        watcher.woken().await;
    }
}

/// Asks the store about all watched sessions at each `interval`, while there are any.
async fn ask(
    mut asking: Asking,
    pipeline: Weak<Pipeline>,
    monitor: Arc<Monitor>,
    interval: Duration,
) {
    loop {
        sleep(interval).await;
        let handles = asking.handles();
        let Some(pipeline) = pipeline.upgrade().filter(|_| !handles.is_empty()) else {
            return;
        };
        for batch in handles.chunks(BATCH) {
            match pipeline.find_ended(batch.to_vec()).await {
                Ok(ended) => monitor.watchers.wake(&ended),
                // An outage is not a logout, so no one is woken.
                Err(error) => {
                    failed(&monitor, &error);
                    if matches!(error, SessionError::Timeout) {
                        // The call may be stuck. The next one waits until its place is free.
                        sleep(pipeline.slack()).await;
                    }
                    break;
                }
            }
        }
    }
}

fn failed(monitor: &Monitor, error: &SessionError) {
    let failure = format_args!("watched sessions could not be looked up: {error}");
    monitor.background_failed(&monitor.watchers.failure, failure);
}
