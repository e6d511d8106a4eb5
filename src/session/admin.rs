//! [`SessionAdmin`]: all sessions, for those who run the application.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::clock::Clock;
use super::counters::{Counters, add, count};
use super::error::SessionError;
use super::pipeline::Pipeline;
use super::sweeper::{SweepReport, sweep_once};
use crate::store::{ListSessions, SessionRecord, SessionStore};

/// How long an operation on all sessions may take.
const BULK_TIMEOUT: Duration = Duration::from_secs(60);

/// Rows of one delete when all sessions are ended: small, so that nothing waits long for them.
const CLEAR_BATCH: u32 = 1000;

/// Whether no column can hold this: PostgreSQL refuses a text with a NUL.
pub(super) fn is_no_text(value: &str) -> bool {
    value.contains('\0')
}

/// Lists and ends any visitor's sessions. Managed state of a Rocket with
/// [`Sessions`](crate::Sessions) attached, as `&State<SessionAdmin>`; who may use it is the
/// application's to decide.
#[derive(Clone)]
pub struct SessionAdmin {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// Live sessions, newest token first.
    pub sessions: Vec<SessionRecord>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<Uuid>,
}

impl SessionAdmin {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            pipeline,
            clock,
            counters,
        }
    }

    /// A page of at most `limit` live sessions: the ones after the cursor `after`, if given only
    /// those of the user `user_id`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        limit: u32,
        after: Option<Uuid>,
        user_id: Option<String>,
    ) -> Result<SessionPage, SessionError> {
        if user_id.as_deref().is_some_and(is_no_text) {
            return Ok(SessionPage {
                sessions: Vec::new(),
                next: None,
            });
        }
        let query = ListSessions {
            now: self.clock.now(),
            after,
            user_id,
            // One more, to know whether there is a next page.
            limit: limit.saturating_add(1),
        };
        let job = move |store: &dyn SessionStore| Ok(store.list(&query)?);
        let mut sessions = self.pipeline.run(job).await?;
        let limit = limit as usize;
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|last| last.session_id);
        Ok(SessionPage { sessions, next })
    }

    /// Ends the session with this public handle; whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, id: &str) -> Result<bool, SessionError> {
        let ended = !is_no_text(id) && self.pipeline.delete(id.to_owned()).await?;
        if ended {
            count(&self.counters.ended);
        }
        Ok(ended)
    }

    /// Ends every session that there is, in batches; how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn clear(&self) -> Result<usize, SessionError> {
        let now = self.clock.now();
        let deadline = Instant::now() + BULK_TIMEOUT;
        let job = move |store: &dyn SessionStore| {
            let mut deleted = 0;
            loop {
                let batch = store.clear(now, CLEAR_BATCH)?;
                deleted += batch;
                if batch == 0 || Instant::now() >= deadline {
                    return Ok(deleted);
                }
            }
        };
        let deleted = self.pipeline.run_long(deadline, job).await?;
        add(&self.counters.ended, deleted);
        Ok(deleted)
    }

    /// Deletes the sessions that have expired by now, as the hourly sweep does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<SweepReport, SessionError> {
        let now = self.clock.now();
        let deadline = Instant::now() + BULK_TIMEOUT;
        let job = move |store: &dyn SessionStore| Ok(sweep_once(store, now)?);
        self.pipeline.run_long(deadline, job).await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it gives none within the timeout.
    pub async fn ping(&self) -> Result<(), SessionError> {
        let job = |store: &dyn SessionStore| Ok(store.ping()?);
        self.pipeline.run(job).await
    }

    /// What sessions went through in this process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl fmt::Debug for SessionAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAdmin")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
