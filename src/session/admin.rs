//! [`SessionAdmin`]: all sessions, for those who run the application.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::clock::Clock;
use super::error::SessionError;
use super::expiry::ExpiryPolicy;
use super::pipeline::Pipeline;
use crate::store::admin::{SessionPage, SessionStats, SweepReport};
use crate::store::{EndReason, ListSessions, SessionRecord, StoreError, SweepRecord};

/// Sessions that a page of the list has at most.
const MAX_PAGE: u32 = 10_000;

/// Lists and ends any visitor's sessions. Managed state of a Rocket with
/// [`Sessions`](crate::Sessions) attached, as `&State<SessionAdmin>`; who may use it is the
/// application's to decide.
#[derive(Clone)]
pub struct SessionAdmin {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    expiry: ExpiryPolicy,
}

impl SessionAdmin {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        clock: Arc<dyn Clock>,
        expiry: ExpiryPolicy,
    ) -> Self {
        Self {
            pipeline,
            clock,
            expiry,
        }
    }

    /// A page of at most `limit` live sessions: the ones after the cursor `after`, if given only
    /// those of the user `user_id`. A page has at most 10,000 sessions, whatever `limit` says. It
    /// can be shorter than `limit` and have a next one where stricter timeouts were set since:
    /// sessions that these refuse are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        limit: u32,
        after: Option<Uuid>,
        user_id: Option<String>,
    ) -> Result<SessionPage, SessionError> {
        let now = self.clock.now();
        let query = ListSessions {
            now,
            after,
            user_id,
            kind: None,
            limit: limit.min(MAX_PAGE),
        };
        let mut page = self.pipeline.list(query).await?;
        page.sessions = self.expiry.live(page.sessions, now);
        Ok(page)
    }

    /// The session with this public handle, expired or not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &str) -> Result<Option<SessionRecord>, SessionError> {
        let found = self.pipeline.find(id).await?;
        Ok(found.map(|record| self.expiry.effective(record)))
    }

    /// Ends the session with this public handle; whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, id: &str) -> Result<bool, SessionError> {
        let id = id.to_owned();
        self.pipeline.delete(id, EndReason::Revoked).await
    }

    /// Ends every session that there is, in batches, and returns how many there were. If that takes
    /// more than a minute, it goes on to the end all the same, and the log says how many there
    /// were.
    ///
    /// # Errors
    /// When the store fails; [`SessionError::Timeout`] after a minute.
    pub async fn clear(&self) -> Result<usize, SessionError> {
        self.pipeline.clear(self.clock.now()).await
    }

    /// Deletes the sessions that have expired by now, as the hourly sweep does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<SweepReport, SessionError> {
        self.pipeline.sweep().await
    }

    /// Finds out whether requests would be served, in the way that a request's session is loaded.
    ///
    /// # Errors
    /// When a request would be answered 503.
    pub async fn ping(&self) -> Result<(), SessionError> {
        self.pipeline.ready().await
    }

    /// Fails at once while the database is known to be down: for what an application asks of it
    /// itself, so that this does not wait for it either. Costs no statement.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`] during an outage.
    pub fn ensure_available(&self) -> Result<(), SessionError> {
        self.pipeline.ensure_available()
    }

    /// Waits until what this instance does in the background for requests so far is done: activity
    /// is written, tokens that did not reach their visitors are taken back. For tests that then move
    /// a [`ManualClock`](crate::testing::ManualClock), or look at another instance or at the database.
    ///
    /// # Errors
    /// [`SessionError::Timeout`] when that takes longer than `timeout`.
    pub async fn settle(&self) -> Result<(), SessionError> {
        self.pipeline.settle().await
    }

    /// Runs a blocking call of the application's, such as a query of its own, on a thread made for
    /// waiting, with the session layer's deadline. Fails at once while the database is known to be
    /// down. A call that never returns gives its place to others.
    ///
    /// # Errors
    /// That of the call; [`SessionError::Timeout`] when it takes longer than `timeout`.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.pipeline.call(call).await
    }

    /// How many sessions are live, and usage of the last `hours` hours, this one among them;
    /// at most ten years.
    ///
    /// # Errors
    /// When the store fails, or keeps no statistics.
    pub async fn stats(&self, hours: u32) -> Result<SessionStats, SessionError> {
        self.pipeline.stats(self.clock.now(), hours).await
    }

    /// The last passes of the sweep, of all instances, newest first.
    ///
    /// # Errors
    /// When the store fails, or keeps no statistics.
    pub async fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, SessionError> {
        self.pipeline.sweeps(limit).await
    }

    /// What sessions went through in this process, in Prometheus' text format, version 0.0.4. Costs
    /// no statement.
    pub fn metrics(&self) -> String {
        self.pipeline.metrics()
    }
}

impl fmt::Debug for SessionAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAdmin").finish_non_exhaustive()
    }
}
