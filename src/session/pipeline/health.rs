//! The health of the pipeline.

#[cfg(feature = "testing")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::time::sleep;
use uuid::Uuid;

use super::start::{LONG_CALLS, Pipeline};
use crate::session::error::SessionError;
use crate::session::observe::metrics::signed;
use crate::store::SessionKey;
#[cfg(feature = "testing")]
use crate::store::{SessionRecord, StoreError};

/// Time between two checks while waiting for work in the background.
const SETTLE_LOOK: Duration = Duration::from_millis(2);

impl Pipeline {
    /// Checks that requests are served, by taking the same path as a request.
    pub(crate) async fn ready(&self) -> Result<(), SessionError> {
        if self.shared.queue.is_stuck(self.timeout) {
            return Err(self.failed(SessionError::Timeout));
        }
        self.load(SessionKey::new(Uuid::nil())).await.map(drop)
    }

    /// Waits until queued writes and touches are written, and until tokens that did not reach their
    /// visitors are withdrawn.
    ///
    /// # Errors
    /// Returns [`SessionError::Timeout`] if that takes longer than the timeout.
    pub(crate) async fn settle(&self) -> Result<(), SessionError> {
        let deadline = self.deadline();
        while !self.is_settled(deadline)? {
            sleep(SETTLE_LOOK).await;
        }
        Ok(())
    }

    /// Waits like [`settle`](Self::settle), and blocks the thread.
    #[cfg(feature = "testing")]
    pub(crate) fn settle_blocking(&self) -> Result<(), SessionError> {
        let deadline = self.deadline();
        while !self.is_settled(deadline)? {
            std::thread::sleep(SETTLE_LOOK);
        }
        Ok(())
    }

    fn is_settled(&self, deadline: Instant) -> Result<bool, SessionError> {
        let is_settled = self.shared.queue.is_settled();
        if !is_settled && Instant::now() >= deadline {
            return Err(SessionError::Timeout);
        }
        Ok(is_settled)
    }

    /// Reads the row of a session at once, on the caller's thread, and applies the touches that
    /// this process has yet to write.
    #[cfg(feature = "testing")]
    pub(crate) fn peek(&self, id: Uuid) -> Result<Option<Arc<SessionRecord>>, StoreError> {
        let seen = self.shared.queue.seen(&id);
        let mut record = self.shared.store.load(&[id])?.pop().map(Arc::new);
        if let (Some(record), Some(seen)) = (&mut record, seen) {
            seen.apply(record);
        }
        Ok(record)
    }

    /// Checks that the database is not known to be down.
    ///
    /// # Errors
    /// Fails during an outage.
    pub(crate) fn ensure_available(&self) -> Result<(), SessionError> {
        self.shared.breaker.check()
    }

    /// Returns the metrics in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        self.sample();
        self.shared.monitor.metrics.to_text()
    }

    /// Updates the metrics that are sampled on demand.
    fn sample(&self) {
        let metrics = &self.shared.monitor.metrics;
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
