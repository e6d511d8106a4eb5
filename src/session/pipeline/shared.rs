//! The state that the pipeline's threads share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::breaker::Breaker;
use super::queue::Queue;
use super::queued::deadlines::Deadlines;
use super::queued::glance::Glance;
use super::untold::{Ledger, Untold};
use crate::session::observe::monitor::Monitor;
use crate::store::{SessionStore, StoreError, Withdrawal};

pub(super) struct Shared {
    pub(super) queue: Arc<Queue>,
    pub(super) deadlines: Deadlines,
    pub(super) glance: Glance,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) breaker: Breaker,
    /// How long a job waits for a row that another transaction has locked.
    pub(super) lock_wait: Duration,
}

impl Shared {
    /// Registers a change of a token that is about to be made.
    pub(super) fn attempt(&self, withdrawal: Withdrawal) -> Untold {
        let ledger: Arc<dyn Ledger> = Arc::<Queue>::clone(&self.queue);
        Untold::attempt(ledger, withdrawal)
    }
}

/// Calls the store. A panic in it is treated as a failure.
pub(super) fn guarded_call<T>(
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        tracing::error!("the session store panicked");
        Err(StoreError::Panicked)
    })
}
