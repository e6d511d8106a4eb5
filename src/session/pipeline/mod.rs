//! The way from async requests to the blocking store: the one place where it happens.
//!
//! ```text
//! request ──job──▶ queue ──turn──▶ worker ──one call a kind──▶ store
//!    ▲                                │
//!    └────────────one-shot────────────┘
//! ```
//!
//! A request does not take a thread and a connection: it leaves a job and awaits the answer. A
//! few worker threads take whatever has queued up, with no delay added, and answer it with one
//! statement a kind. The busier the server, the larger the batches.

mod batch;
mod breaker;
mod calls;
mod crew;
mod health;
mod job;
mod login;
mod queue;
mod untold;
mod update;
mod worker;
mod writer;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use rocket::tokio::sync::Semaphore;
use rocket::tokio::time::timeout_at;
use uuid::Uuid;

use self::breaker::Breaker;
use self::calls::Calls;
use self::crew::Crew;
use self::job::{Answer, Deletion, Failure, Job, Rotation, Update, WriteJob};
use self::queue::{Limits, Queue};
use super::error::SessionError;
use super::observe::monitor::Monitor;
use crate::store::{
    EndReason, NewSession, RotateSession, SessionRecord, SessionStore, StoreError, TouchSession,
    patience,
};

pub(crate) use self::job::{Apply, Change};
pub(crate) use self::untold::Untold;

/// Calls at a time that may take long: clearing, sweeping.
const LONG_CALLS: u32 = 1;

/// Probes at a time, which look for a database that has failed.
const PROBES: u32 = 1;

/// The least number of calls at a time that do not go through the queue: logins, lists.
pub(crate) const MIN_DIRECT_CALLS: u32 = 2;

/// Connections that calls beside the queue need at least.
pub(crate) const CALL_CONNECTIONS: u32 = MIN_DIRECT_CALLS + PROBES + LONG_CALLS;

/// How long a shutdown waits for the workers beyond the deadline of the last job.
const GRACE: Duration = Duration::from_secs(1);

/// The share of the timeout that a job waits for a row which another transaction holds.
const LOCK_SHARE: u32 = 4;

/// How a pipeline works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipelineOptions {
    pub(crate) workers: usize,
    pub(crate) max_batch: usize,
    pub(crate) max_queue: usize,
    /// Calls at a time that do not go through the queue.
    pub(crate) direct_calls: usize,
    pub(crate) timeout: Duration,
}

/// What wakes the thread that watches over the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nudge {
    /// The database has failed: a probe is due.
    Probe,
    Stop,
}

/// What the pipeline's threads share.
struct Shared {
    queue: Arc<Queue>,
    store: Arc<dyn SessionStore>,
    monitor: Arc<Monitor>,
    breaker: Breaker,
    /// How long a job waits for a row that another transaction holds.
    lock_wait: Duration,
}

/// Dropping it takes no more jobs in, waits until those that are queued are done, touches among
/// them, and ends the workers.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    crew: Arc<Crew>,
    calls: Arc<Calls>,
    direct: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// Permits of `direct`.
    direct_calls: usize,
    timeout: Duration,
    patience: Duration,
    /// The thread that watches over the others.
    watch: Mutex<Option<(Sender<Nudge>, JoinHandle<()>)>>,
}

impl Pipeline {
    /// Starts the workers.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(
        store: Arc<dyn SessionStore>,
        monitor: Arc<Monitor>,
        options: PipelineOptions,
    ) -> std::io::Result<Self> {
        let patience = patience(options.timeout);
        // One worker is kept for loads, so that writes which hang do not keep readers out.
        let writers = options.workers.saturating_sub(1).max(1);
        let limits = Limits {
            waiting: options.max_queue,
            batch: options.max_batch,
            writers: store.max_writers().min(writers),
            timeout: options.timeout,
            patience,
            is_clock_real: monitor.is_clock_real(),
        };
        monitor.metrics.limits.set(
            options.max_queue,
            [options.direct_calls, LONG_CALLS as usize],
        );
        let (nudge, nudged) = channel();
        let breaker = Breaker::new(nudge.clone(), patience, Arc::clone(&monitor.outage));
        let shared = Arc::new(Shared {
            queue: Arc::new(Queue::new(limits)),
            store,
            monitor,
            breaker,
            lock_wait: options.timeout / LOCK_SHARE,
        });
        let learner = Arc::downgrade(&shared);
        shared.monitor.attach(Box::new(move |error| {
            let shared = learner.upgrade();
            shared.is_some_and(|shared| shared.breaker.reports(error))
        }));
        let (crew, calls) = (Arc::<Crew>::default(), Arc::<Calls>::default());
        let pipeline = Self {
            shared: Arc::clone(&shared),
            crew: Arc::clone(&crew),
            calls: Arc::clone(&calls),
            direct: Arc::new(Semaphore::new(options.direct_calls)),
            long: Arc::new(Semaphore::new(LONG_CALLS as usize)),
            direct_calls: options.direct_calls,
            timeout: options.timeout,
            patience,
            watch: Mutex::default(),
        };
        crew.start(&shared, options.workers)?;
        let watch = std::thread::Builder::new()
            .name("session-store-watch".to_owned())
            .spawn(move || crew.watch(&shared, &calls, &nudged))?;
        *pipeline.watch.lock() = Some((nudge, watch));
        Ok(pipeline)
    }

    /// The row of one session, with the activity that this process has still to write: a session
    /// that was in use in time is not refused because the write is slower than the next request.
    pub(crate) async fn load(&self, id: Uuid) -> Result<Option<SessionRecord>, SessionError> {
        let (job, answer) = Job::new(id, self.deadline());
        let deadline = job.deadline;
        let mut seen = None;
        let queued = self.checked(deadline, |queue| {
            seen = queue.push_load(job)?;
            Ok(())
        });
        let queued = queued.await;
        let mut record = self.answer(queued, deadline, answer).await?;
        if let (Some(record), Some(seen)) = (&mut record, seen)
            && record.expires_at > seen.first
        {
            let deadline = seen.until.min(record.absolute_expires_at);
            record.expires_at = record.expires_at.max(deadline);
            record.last_seen_at = record.last_seen_at.max(seen.last);
        }
        Ok(record)
    }

    /// Inserts a session. Its token is taken back unless the visitor is told of it.
    pub(crate) async fn create(&self, new: NewSession) -> Result<Untold, SessionError> {
        self.write(new, WriteJob::Create).await
    }

    /// Applies a change to the newest data of a session and returns what is stored then; `None`
    /// when the session is gone, has a new token, or has expired.
    pub(crate) async fn update(
        &self,
        session: SessionRecord,
        now: DateTime<Utc>,
        apply: Apply,
    ) -> Result<Option<SessionRecord>, SessionError> {
        let update = Update {
            session,
            now: self.shared.queue.moment(now),
            apply,
        };
        self.write(update, WriteJob::Update).await
    }

    /// Records activity of a session whose deadline was `alive_until`, without making anyone wait.
    /// Losing one does little harm.
    pub(crate) fn touch(&self, touch: TouchSession, alive_until: DateTime<Utc>) {
        self.shared.queue.push_touch(touch, alive_until);
    }

    /// Gives a session a new token, which is taken back unless the visitor is told of it; `None`
    /// when the session is gone, has another token, or has expired.
    pub(crate) async fn rotate(
        &self,
        previous: SessionRecord,
        rotation: RotateSession,
    ) -> Result<Option<Untold>, SessionError> {
        let rotation = Rotation {
            previous: Box::new(previous),
            rotation,
        };
        self.write(rotation, WriteJob::Rotate).await
    }

    /// Deletes a session by its public handle; returns whether it was there.
    pub(crate) async fn delete(&self, id: String, reason: EndReason) -> Result<bool, SessionError> {
        self.write(Deletion { id, reason }, WriteJob::Delete).await
    }

    async fn write<W, T>(
        &self,
        work: W,
        kind: impl FnOnce(Job<W, T>) -> WriteJob,
    ) -> Result<T, SessionError> {
        let (job, answer) = Job::new(work, self.deadline());
        let deadline = job.deadline;
        let queued = self.checked(deadline, |queue| queue.push_write(kind(job)));
        let queued = queued.await;
        self.answer(queued, deadline, answer).await
    }

    /// Takes a job in, unless there is an outage.
    async fn checked(
        &self,
        deadline: Instant,
        push: impl FnOnce(&Queue) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        self.shared.breaker.ready(deadline).await?;
        push(&self.shared.queue)
    }

    /// Waits for a worker's answer until the deadline.
    async fn answer<T>(
        &self,
        queued: Result<(), SessionError>,
        deadline: Instant,
        answer: Answer<T>,
    ) -> Result<T, SessionError> {
        let result = match queued {
            Ok(()) => match timeout_at(deadline.into(), answer).await {
                Ok(Ok(Ok(value))) => Ok(value),
                Ok(Ok(Err(Failure::Error(error)))) => Err(error),
                Ok(Ok(Err(Failure::Panic(panic)))) => std::panic::resume_unwind(panic),
                Ok(Err(_)) => Err(SessionError::Aborted),
                Err(_) => Err(SessionError::Timeout),
            },
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(error))
    }

    /// Runs `job` beside the queue: for what is rare.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_by(self.deadline(), job).await
    }

    /// Runs `job` beside the queue, with a deadline that the job knows of.
    pub(crate) async fn run_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_in(&self.direct, deadline, job).await
    }

    /// Runs what is long beside the queue: with a deadline of its own, and one at a time.
    pub(crate) async fn run_long<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_in(&self.long, deadline, job).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let result = match self.shared.breaker.ready(deadline).await {
            Ok(()) => {
                let slack = self.patience.saturating_sub(self.timeout);
                let calls = &self.calls;
                calls.run(&self.shared, places, deadline, slack, job).await
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(error))
    }

    /// The latest moment at which a write may commit and its caller still learn the result: a little
    /// before the deadline, so that the answer is on its way by then.
    pub(crate) fn commit_deadline(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.timeout / 10).unwrap_or(deadline)
    }

    /// How long an answer waits for an undo: the request has used up time of its own by then, and the
    /// undo goes on by itself.
    pub(crate) fn undo_deadline(&self) -> Instant {
        Instant::now() + self.timeout / 4
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn failed(&self, error: SessionError) -> SessionError {
        if error.is_outage() {
            self.shared.breaker.refused();
            tracing::debug!("{error}");
        }
        self.shared.monitor.metrics.failed(&error);
        error
    }
}

/// Calls the store; a panic in it is a failure like others.
fn guarded_call<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        tracing::error!("the session store panicked");
        Err(StoreError::Panicked)
    })
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.queue.close();
        if !self.crew.wait(self.timeout + GRACE) {
            tracing::warn!("the session store's workers did not end in time");
        }
        if let Some((nudge, watch)) = self.watch.lock().take() {
            // It ends at the next look, if it has not ended.
            let _ = nudge.send(Nudge::Stop);
            let _ = watch.join();
        }
    }
}
