//! How the pipeline is doing.

use std::time::{Duration, Instant};

use rocket::tokio::time::sleep;
use uuid::Uuid;

use super::start::{LONG_CALLS, Pipeline};
use crate::session::error::SessionError;
use crate::session::observe::metrics::{Metrics, signed};

/// How often a wait for what happens in the background looks.
const SETTLE_LOOK: Duration = Duration::from_millis(2);

impl Pipeline {
    /// Finds out whether requests are served, in the way that they go.
    pub(crate) async fn ready(&self) -> Result<(), SessionError> {
        if self.shared.queue.is_stuck(self.timeout) {
            return Err(self.failed(SessionError::Timeout));
        }
        self.load(Uuid::nil()).await.map(drop)
    }

    /// Waits until activity is written, and tokens that did not reach their visitors are taken back.
    ///
    /// # Errors
    /// [`SessionError::Timeout`] when that takes longer than the timeout.
    pub(crate) async fn settle(&self) -> Result<(), SessionError> {
        let deadline = self.deadline();
        while !self.shared.queue.is_settled() {
            if Instant::now() >= deadline {
                return Err(SessionError::Timeout);
            }
            sleep(SETTLE_LOOK).await;
        }
        Ok(())
    }

    /// Fails while the database is known to be down.
    ///
    /// # Errors
    /// During an outage.
    pub(crate) fn ensure_available(&self) -> Result<(), SessionError> {
        self.shared.breaker.check()
    }

    /// Puts what is only known when it is asked for into the metrics.
    pub(crate) fn sample(&self, metrics: &Metrics) {
        let (loads, writes) = self.shared.queue.depth();
        metrics.waiting_loads.set(signed(loads));
        metrics.waiting_writes.set(signed(writes));
        if let Some(pool) = self.shared.store.pool() {
            metrics.connections.set(pool.open.into());
            metrics.connections_in_use.set(pool.in_use.into());
            metrics.limits.pool_size.set(pool.size.into());
        }
        let is_up = self.shared.breaker.check().is_ok();
        metrics.limits.database_up.set(is_up.into());
        let direct = self
            .direct_calls
            .saturating_sub(self.direct.available_permits());
        let long = (LONG_CALLS as usize).saturating_sub(self.long.available_permits());
        metrics.limits.set_calls([direct, long]);
    }
}
