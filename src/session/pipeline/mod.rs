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

mod breaker;
mod job;
mod queue;
mod update;
mod worker;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rocket::tokio::sync::Semaphore;
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout_at;
use uuid::Uuid;

use self::breaker::Breaker;
use self::job::{Answer, Deletion, Failure, Job, Rotation, Update, WriteJob};
use self::queue::{Limits, Queue};
use self::worker::Worker;
use super::error::SessionError;
use super::metrics::{Call, Metrics};
use super::monitor::Monitor;
use crate::store::{
    EndReason, NewSession, RotateSession, SessionRecord, SessionStore, StoreError, TouchSession,
};

pub(crate) use self::job::{Apply, Change};

/// Calls at a time that do not go through the queue: logins, lists.
const DIRECT_CALLS: u32 = 2;

/// Readiness checks at a time: they must not wait for others.
const PROBE_CALLS: u32 = 1;

/// Calls at a time that may take long: clearing, sweeping.
const LONG_CALLS: u32 = 1;

/// Connections that calls beside the queue take.
pub(crate) const CALL_CONNECTIONS: u32 = DIRECT_CALLS + PROBE_CALLS + LONG_CALLS;

/// How long a shutdown waits for the workers beyond the deadline of the last job.
const GRACE: Duration = Duration::from_secs(1);

/// How a pipeline works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipelineOptions {
    pub(crate) workers: usize,
    pub(crate) max_batch: usize,
    pub(crate) max_queue: usize,
    pub(crate) timeout: Duration,
}

/// Dropping it takes no more jobs in, waits until those that are queued are done, touches among
/// them, and ends the workers.
pub(crate) struct Pipeline {
    queue: Arc<Queue>,
    store: Arc<dyn SessionStore>,
    monitor: Arc<Monitor>,
    breaker: Arc<Breaker>,
    direct: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    long: Arc<Semaphore>,
    timeout: Duration,
    /// Disconnected when all workers have ended.
    workers: Mutex<Receiver<()>>,
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
        let (alive, workers) = channel();
        // One worker is kept for loads, so that writes which hang do not keep readers out.
        let writers = options.workers.saturating_sub(1).max(1);
        let pipeline = Self {
            queue: Arc::new(Queue::new(Limits {
                waiting: options.max_queue,
                batch: options.max_batch,
                writers: store.max_writers().min(writers),
            })),
            store,
            monitor,
            breaker: Arc::default(),
            direct: Arc::new(Semaphore::new(DIRECT_CALLS as usize)),
            probes: Arc::new(Semaphore::new(PROBE_CALLS as usize)),
            long: Arc::new(Semaphore::new(LONG_CALLS as usize)),
            timeout: options.timeout,
            workers: Mutex::new(workers),
        };
        for number in 1..=options.workers {
            let worker = Worker {
                queue: Arc::clone(&pipeline.queue),
                store: Arc::clone(&pipeline.store),
                monitor: Arc::clone(&pipeline.monitor),
                breaker: Arc::clone(&pipeline.breaker),
                alive: alive.clone(),
            };
            std::thread::Builder::new()
                .name(format!("session-store-{number}"))
                .spawn(move || worker.run())?;
        }
        Ok(pipeline)
    }

    /// The row of one session.
    pub(crate) async fn load(&self, id: Uuid) -> Result<Option<SessionRecord>, SessionError> {
        let (job, answer) = Job::new(id, self.deadline());
        let deadline = job.deadline;
        let queued = self.checked(|queue| queue.push_load(job));
        self.answer(queued, deadline, answer).await
    }

    /// Inserts a session.
    pub(crate) async fn create(&self, new: NewSession) -> Result<(), SessionError> {
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
            now,
            apply,
        };
        self.write(update, WriteJob::Update).await
    }

    /// Records activity, without making anybody wait. Losing one does little harm.
    pub(crate) fn touch(&self, touch: TouchSession) {
        self.queue.push_touch(touch);
    }

    /// Gives the session with this public handle a new token; whether it was there.
    pub(crate) async fn rotate(
        &self,
        id: String,
        rotation: RotateSession,
    ) -> Result<bool, SessionError> {
        self.write(Rotation { id, rotation }, WriteJob::Rotate)
            .await
    }

    /// Deletes a session by its public handle; whether it was there.
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
        let queued = self.checked(|queue| queue.push_write(kind(job)));
        self.answer(queued, deadline, answer).await
    }

    /// Takes a job in, unless there is an outage.
    fn checked(
        &self,
        push: impl FnOnce(&Queue) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        self.breaker.check(Instant::now())?;
        push(&self.queue)
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

    /// Runs `job` on a blocking thread, beside the queue: for what is rare.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_by(self.deadline(), job).await
    }

    /// The same, with a deadline that the job knows of.
    pub(crate) async fn run_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.breaker.check(Instant::now())?;
        self.run_with(&self.direct, deadline, job).await
    }

    /// The same, whatever is known of the database.
    pub(crate) async fn probe<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_with(&self.probes, self.deadline(), job).await
    }

    /// The same for what is long: a deadline of its own, and one at a time.
    pub(crate) async fn run_long<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.breaker.check(Instant::now())?;
        self.run_with(&self.long, deadline, job).await
    }

    async fn run_with<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let permits = Arc::clone(permits);
        let store = Arc::clone(&self.store);
        let (breaker, monitor) = (Arc::clone(&self.breaker), Arc::clone(&self.monitor));
        let answer = timeout_at(deadline.into(), async move {
            let permit = permits.acquire_owned().await;
            spawn_blocking(move || {
                let _permit = permit;
                let start = Instant::now();
                // Nobody waits for it any more.
                if start >= deadline {
                    return Err(StoreError::TooLate);
                }
                let result = job(&*store);
                breaker.learn(result.as_ref().err());
                monitor.metrics.called(Call::Other, 1, start.elapsed());
                result
            })
            .await
        })
        .await;
        let result = match answer {
            Ok(Ok(result)) => result.map_err(Into::into),
            Ok(Err(_)) => Err(SessionError::Aborted),
            Err(_) => Err(SessionError::Timeout),
        };
        result.map_err(|error| self.failed(error))
    }

    /// Until when what is asked for now may be committed, if whoever asks must learn of it: a little
    /// before the deadline, so that the answer is on its way by then.
    pub(crate) fn commit_deadline(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.timeout / 10).unwrap_or(deadline)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Whether the database is known to be down.
    ///
    /// # Errors
    /// While it is, and no probe is due.
    pub(crate) fn check(&self) -> Result<(), SessionError> {
        self.breaker.check(Instant::now())
    }

    fn failed(&self, error: SessionError) -> SessionError {
        if error.is_outage() {
            tracing::debug!("{error}");
        }
        self.monitor.metrics.failed(&error);
        error
    }

    /// Puts what is only known when it is asked for into the metrics.
    pub(crate) fn sample(&self, metrics: &Metrics) {
        let (loads, writes) = self.queue.depth();
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.waiting_loads.set(gauge(loads));
        metrics.waiting_writes.set(gauge(writes));
        if let Some(pool) = self.store.pool() {
            metrics.connections.set(pool.open.into());
            metrics.connections_in_use.set(pool.in_use.into());
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.queue.close();
        let workers = self
            .workers
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if workers.recv_timeout(self.timeout + GRACE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the session store's workers did not end in time");
        }
    }
}
