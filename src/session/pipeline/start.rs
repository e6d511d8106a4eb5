//! The pipeline's start and end.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rocket::tokio::sync::Semaphore;

use super::breaker::{Breaker, Nudge};
use super::crew::Crew;
use super::direct::calls::Calls;
use super::direct::sweep::Sweep;
use super::queue::{Limits, Queue};
use super::queued::deadlines::Deadlines;
use super::queued::glance::Glance;
use super::shared::Shared;
use crate::session::error::SessionError;
use crate::session::observe::monitor::Monitor;
use crate::session::observe::statistics::Statistics;
use crate::store::{SessionStore, patience};

/// Maximum number of concurrent long calls: clearing and sweeping.
pub(super) const LONG_CALLS: u32 = 1;

/// Maximum number of concurrent probes, which check whether a failed database has recovered.
const PROBES: u32 = 1;

/// Minimum number of concurrent calls that bypass the queue: logins and lists.
pub(crate) const MIN_DIRECT_CALLS: u32 = 2;

/// Minimum number of connections for calls that bypass the queue.
pub(crate) const CALL_CONNECTIONS: u32 = MIN_DIRECT_CALLS + PROBES + LONG_CALLS;

/// How long a shutdown waits for the workers after the deadline of the last job.
const GRACE: Duration = Duration::from_secs(1);

/// The timeout divided by the time that a job waits for a row that another transaction has locked.
const LOCK_SHARE: u32 = 4;

/// The options of a pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipelineOptions {
    pub(crate) workers: usize,
    pub(crate) max_batch: usize,
    pub(crate) max_queue: usize,
    /// Maximum number of concurrent calls that bypass the queue.
    pub(crate) direct_calls: usize,
    pub(crate) timeout: Duration,
}

/// The path from requests to the store. Dropping it closes the queue, waits until all queued jobs
/// and touches are done, and ends the workers.
pub(crate) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(crate) sweep: Arc<Sweep>,
    pub(super) statistics: Option<Arc<Statistics>>,
    crew: Arc<Crew>,
    pub(super) calls: Arc<Calls>,
    pub(super) direct: Arc<Semaphore>,
    pub(super) long: Arc<Semaphore>,
    /// Number of permits of `direct`.
    pub(super) direct_calls: usize,
    pub(super) timeout: Duration,
    pub(super) patience: Duration,
    /// The thread that watches over the others.
    watch: Mutex<Option<(Sender<Nudge>, JoinHandle<()>)>>,
}

impl Pipeline {
    /// Starts the workers.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    pub(crate) fn start(
        store: Arc<dyn SessionStore>,
        monitor: Arc<Monitor>,
        statistics: Option<Arc<Statistics>>,
        options: PipelineOptions,
    ) -> std::io::Result<Self> {
        let (nudge, nudged) = channel();
        let shared = shared(store, monitor, options, nudge.clone());
        let (crew, calls) = (Arc::<Crew>::default(), Arc::<Calls>::default());
        let sweep = Arc::new(Sweep {
            store: Arc::clone(&shared.store),
            statistics: statistics.clone(),
            monitor: Arc::clone(&shared.monitor),
        });
        let pipeline = Self {
            shared: Arc::clone(&shared),
            sweep,
            statistics,
            crew: Arc::clone(&crew),
            calls: Arc::clone(&calls),
            direct: Arc::new(Semaphore::new(options.direct_calls)),
            long: Arc::new(Semaphore::new(LONG_CALLS as usize)),
            direct_calls: options.direct_calls,
            timeout: options.timeout,
            patience: patience(options.timeout),
            watch: Mutex::default(),
        };
        crew.start(&shared, options.workers)?;
        let watch = std::thread::Builder::new()
            .name("session-store-watch".to_owned())
            .spawn(move || crew.watch(&shared, &calls, &nudged))?;
        *pipeline.watch.lock() = Some((nudge, watch));
        Ok(pipeline)
    }

    /// Returns the latest moment at which a write may commit and its caller still learn the result.
    /// It is slightly before `deadline`, to leave time for the answer.
    pub(crate) fn commit_deadline(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.timeout / 10).unwrap_or(deadline)
    }

    /// Returns how long a response waits for an undo. The request has already used time of its own,
    /// and the undo continues in the background.
    pub(crate) fn undo_deadline(&self) -> Instant {
        Instant::now() + self.timeout / 4
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Returns how long after its deadline a call that is stuck releases its place.
    pub(crate) fn slack(&self) -> Duration {
        self.patience.saturating_sub(self.timeout)
    }

    pub(super) fn failed(&self, error: SessionError) -> SessionError {
        if error.is_outage() {
            self.shared.breaker.refused();
            tracing::debug!("{error}");
        }
        self.shared.monitor.metrics.failed(&error);
        error
    }
}

/// Returns what the threads share, and has the monitor report failures in the background.
fn shared(
    store: Arc<dyn SessionStore>,
    monitor: Arc<Monitor>,
    options: PipelineOptions,
    nudge: Sender<Nudge>,
) -> Arc<Shared> {
    let patience = patience(options.timeout);
    // One worker is reserved for loads, so that hanging writes do not block readers.
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
    let breaker = Breaker::new(nudge, patience, Arc::clone(&monitor.outage));
    let shared = Arc::new(Shared {
        queue: Arc::new(Queue::new(limits)),
        deadlines: Deadlines::default(),
        glance: Glance::default(),
        store,
        monitor,
        breaker,
        lock_wait: options.timeout / LOCK_SHARE,
    });
    let learner = Arc::downgrade(&shared);
    shared.monitor.attach(Box::new(move |error, began| {
        let shared = learner.upgrade();
        shared.is_some_and(|shared| shared.breaker.reports(error, began))
    }));
    shared
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.queue.close();
        if !self.crew.wait(self.timeout + GRACE) {
            tracing::warn!("the session store's workers did not end in time");
        }
        if let Some((nudge, watch)) = self.watch.lock().take() {
            // If the send fails, the thread has already ended.
            let _ = nudge.send(Nudge::Stop);
            let _ = watch.join();
        }
    }
}
