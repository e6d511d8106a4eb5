//! [`SessionAdmin`]: all sessions, for those who run the application.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::background::batches::clear_all;
use super::background::recorder::{COUNTED_AT_ONCE, Recorder};
use super::background::sweeper::{SweepReport, Sweeper};
use super::clock::Clock;
use super::error::SessionError;
use super::expiry::{ExpiryPolicy, is_expired};
use super::observe::monitor::Monitor;
use super::observe::usage::hour;
use super::pipeline::Pipeline;
use crate::store::{
    Census, EndReason, HourStats, ListSessions, SessionRecord, SessionStore, StoreError,
    SweepRecord,
};

/// How long an operation on all sessions may take.
const BULK_TIMEOUT: Duration = Duration::from_mins(1);

/// Sessions that a page of the list has at most.
const MAX_PAGE: u32 = 10_000;

/// Hours of usage that are reported at most: ten years.
const MAX_HOURS: u32 = 10 * 366 * 24;

/// How many of the next expiries are told.
const NEXT_EXPIRIES: u32 = 10;

/// Whether no column can hold this: PostgreSQL refuses a text with a NUL.
pub(super) fn is_no_text(value: &str) -> bool {
    value.contains('\0')
}

/// A page of the list, and the cursor of the next one.
pub(super) fn page(
    store: &dyn SessionStore,
    mut query: ListSessions,
) -> Result<(Vec<SessionRecord>, Option<Uuid>), StoreError> {
    let limit = query.limit as usize;
    // One more, to know whether there is a next page.
    query.limit = query.limit.saturating_add(1);
    let mut sessions = store.list(&query)?;
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| more).map(|last| last.session_id);
    Ok((sessions, next))
}

/// The sessions that may be served, with the deadlines that hold for them.
pub(super) fn effective(
    expiry: ExpiryPolicy,
    sessions: Vec<SessionRecord>,
    now: DateTime<Utc>,
) -> Vec<SessionRecord> {
    sessions
        .into_iter()
        .map(|record| expiry.effective(record))
        .filter(|record| !is_expired(record, now))
        .collect()
}

/// Lists and ends any visitor's sessions. Managed state of a Rocket with
/// [`Sessions`](crate::Sessions) attached, as `&State<SessionAdmin>`; who may use it is the
/// application's to decide.
#[derive(Clone)]
pub struct SessionAdmin {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    expiry: ExpiryPolicy,
    monitor: Arc<Monitor>,
    sweeper: Arc<Sweeper>,
    recorder: Option<Arc<Recorder>>,
}

/// One page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionPage {
    /// Live sessions, newest token first.
    pub sessions: Vec<SessionRecord>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<Uuid>,
}

impl SessionPage {
    /// Makes a page of a list that the application has read itself.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::SessionPage;
    ///
    /// let page = SessionPage::new(Vec::new(), None);
    /// assert!(page.sessions.is_empty());
    /// ```
    pub const fn new(sessions: Vec<SessionRecord>, next: Option<Uuid>) -> Self {
        Self { sessions, next }
    }
}

/// How sessions are used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// Live sessions.
    pub active: u64,
    /// Those of signed-in users.
    pub signed_in: u64,
    /// Whether they were counted now. Where there are many, they are the last sample. Where they
    /// could never be counted in time, `active` is the least that is known: the last count of any
    /// instance, and more than 10,000; `signed_in` is 0 then.
    pub is_exact: bool,
    /// Hours of which something is known, in their order.
    pub hours: Vec<HourStats>,
    /// When the next sessions end unless they are used, soonest first; ten at most.
    pub next_expiries: Vec<DateTime<Utc>>,
}

impl SessionStats {
    /// Makes statistics of sessions that were counted now. The rest is empty.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::SessionStats;
    /// use rocket_diesel_sessions::store::Census;
    ///
    /// let stats = SessionStats::new(Census::default());
    /// assert!(stats.is_exact && stats.hours.is_empty());
    /// ```
    pub const fn new(census: Census) -> Self {
        Self {
            active: census.active,
            signed_in: census.signed_in,
            is_exact: true,
            hours: Vec::new(),
            next_expiries: Vec::new(),
        }
    }
}

/// What is known of a table that could never be counted in time.
fn at_least(hours: &[HourStats]) -> Census {
    let last = hours.iter().rev().map(|hour| hour.peak_active);
    let last = last.into_iter().find(|&peak| peak > 0).unwrap_or(0);
    Census {
        active: last.max(u64::from(COUNTED_AT_ONCE) + 1),
        signed_in: 0,
    }
}

impl SessionAdmin {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        clock: Arc<dyn Clock>,
        expiry: ExpiryPolicy,
        monitor: Arc<Monitor>,
        sweeper: Arc<Sweeper>,
        recorder: Option<Arc<Recorder>>,
    ) -> Self {
        Self {
            pipeline,
            clock,
            expiry,
            monitor,
            sweeper,
            recorder,
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
        if user_id.as_deref().is_some_and(is_no_text) {
            return Ok(SessionPage {
                sessions: Vec::new(),
                next: None,
            });
        }
        let now = self.clock.now();
        let query = ListSessions {
            now,
            after,
            user_id,
            kind: None,
            limit: limit.min(MAX_PAGE),
        };
        let job = move |store: &dyn SessionStore| page(store, query);
        let (sessions, next) = self.pipeline.run(job).await?;
        Ok(SessionPage {
            sessions: effective(self.expiry, sessions, now),
            next,
        })
    }

    /// The session with this public handle, expired or not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &str) -> Result<Option<SessionRecord>, SessionError> {
        if is_no_text(id) {
            return Ok(None);
        }
        let id = id.to_owned();
        let found = self.pipeline.run(move |store| store.find(&id)).await?;
        Ok(found.map(|record| self.expiry.effective(record)))
    }

    /// Ends the session with this public handle; whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, id: &str) -> Result<bool, SessionError> {
        if is_no_text(id) {
            return Ok(false);
        }
        self.pipeline
            .delete(id.to_owned(), EndReason::Revoked)
            .await
    }

    /// Ends every session that there is, in batches, and returns how many there were. If that takes
    /// more than a minute, it goes on to the end all the same, and the log says how many there
    /// were.
    ///
    /// # Errors
    /// When the store fails; [`SessionError::Timeout`] after a minute.
    pub async fn clear(&self) -> Result<usize, SessionError> {
        let now = self.clock.now();
        let deadline = Instant::now() + BULK_TIMEOUT;
        let monitor = Arc::clone(&self.monitor);
        let job = move |store: &dyn SessionStore| {
            let mut deleted = 0;
            let cleared = clear_all(store, now, |batch| {
                deleted += batch.len();
                monitor.ended(batch, EndReason::Cleared);
            });
            if Instant::now() >= deadline {
                match &cleared {
                    Ok(()) => tracing::info!("all sessions have ended, {deleted} of them"),
                    Err(error) => {
                        tracing::error!("{deleted} sessions have ended, not all of them: {error}");
                    }
                }
            }
            cleared.map(|()| deleted)
        };
        self.pipeline.run_long(deadline, job).await
    }

    /// Deletes the sessions that have expired by now, as the hourly sweep does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<SweepReport, SessionError> {
        let deadline = Instant::now() + BULK_TIMEOUT;
        let sweeper = Arc::clone(&self.sweeper);
        let job = move |_: &dyn SessionStore| sweeper.sweep(|| Instant::now() >= deadline);
        self.pipeline.run_long(deadline, job).await
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
        self.pipeline.run(move |_| call()).await
    }

    /// How many sessions are live, and usage of the last `hours` hours, this one among them;
    /// at most ten years.
    ///
    /// # Errors
    /// When the store fails, or keeps no statistics.
    pub async fn stats(&self, hours: u32) -> Result<SessionStats, SessionError> {
        let now = self.clock.now();
        let from = hour(now) - TimeDelta::hours(i64::from(hours.clamp(1, MAX_HOURS)) - 1);
        self.of_recorder(move |recorder| {
            let (census, is_exact) = recorder.census(now)?;
            // What this instance has not written yet. If that fails, it is only not shown yet.
            if let Err(error) = recorder.write(census) {
                tracing::debug!("usage could not be written: {error}");
            }
            let store = recorder.store();
            let hours = store.usage(from)?;
            let census = census.unwrap_or_else(|| at_least(&hours));
            Ok(SessionStats {
                active: census.active,
                signed_in: census.signed_in,
                is_exact,
                hours,
                next_expiries: store.next_expiries(now, NEXT_EXPIRIES)?,
            })
        })
        .await
    }

    /// The last passes of the sweep, of all instances, newest first.
    ///
    /// # Errors
    /// When the store fails, or keeps no statistics.
    pub async fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, SessionError> {
        self.of_recorder(move |recorder| recorder.store().sweeps(limit))
            .await
    }

    async fn of_recorder<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Recorder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let recorder = self.recorder.clone().ok_or(SessionError::NoStatistics)?;
        self.pipeline.run(move |_| ask(&recorder)).await
    }

    /// What sessions went through in this process, in Prometheus' text format, version 0.0.4. Costs
    /// no statement.
    pub fn metrics(&self) -> String {
        let metrics = &self.monitor.metrics;
        self.pipeline.sample(metrics);
        metrics.to_text()
    }
}

impl fmt::Debug for SessionAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAdmin").finish_non_exhaustive()
    }
}
