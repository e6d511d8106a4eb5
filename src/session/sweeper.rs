//! The background thread that deletes expired sessions.
//!
//! Any number of instances may sweep the same table: on PostgreSQL they skip each other's rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::clock::Clock;
use super::counters::{Counters, count};
use crate::store::{SessionStore, StoreError};

/// Rows of one delete: small, so that nothing waits long for them.
const BATCH: u32 = 1000;

/// Between two batches, for SQLite's other writers.
const BREATH: Duration = Duration::from_millis(2);

/// The first pass comes this long after the start, and up to a random while later, so that
/// instances that start together do not sweep together.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const MAX_JITTER: Duration = Duration::from_secs(30);

/// The wait after a first failed pass; it doubles up to the interval.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepReport {
    /// Expired sessions deleted.
    pub deleted: usize,
    /// Time it took.
    pub elapsed: Duration,
}

/// Deletes all sessions that have expired by `now`, in batches.
///
/// # Errors
/// When the store fails; what was deleted until then stays deleted.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{Clock, DieselStore, StoreOptions, SystemClock, sweep_once};
///
/// # fn main() -> Result<(), rocket_diesel_sessions::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// println!("{} sessions deleted", sweep_once(&store, SystemClock.now())?.deleted);
/// # Ok(())
/// # }
/// ```
pub fn sweep_once(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<SweepReport, StoreError> {
    sweep_with_progress(store, now, |_| {})
}

/// The same; tells `progress` after each batch how many are deleted so far.
///
/// # Errors
/// As for [`sweep_once`].
pub fn sweep_with_progress(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    mut progress: impl FnMut(usize),
) -> Result<SweepReport, StoreError> {
    sweep_until(store, now, |deleted, pause| {
        progress(deleted);
        std::thread::sleep(pause);
        false
    })
}

/// A pass that ends early when `stop`, which is told how many are deleted so far and waits for the
/// given time, says so.
fn sweep_until(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    mut stop: impl FnMut(usize, Duration) -> bool,
) -> Result<SweepReport, StoreError> {
    let start = Instant::now();
    let mut deleted = 0;
    loop {
        let batch = store.sweep(now, BATCH)?;
        deleted += batch;
        if batch == 0 || stop(deleted, BREATH) {
            let elapsed = start.elapsed();
            return Ok(SweepReport { deleted, elapsed });
        }
    }
}

/// The running thread. Dropping it stops the thread without waiting for it.
pub(crate) struct Sweeper {
    /// Its end is the signal to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

struct Worker {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    interval: Duration,
    stop: Receiver<()>,
}

impl Sweeper {
    /// Starts the thread `session-sweeper`.
    pub(crate) fn start(
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let worker = Worker {
            store,
            clock,
            counters,
            interval,
            stop: stopped,
        };
        let thread = std::thread::Builder::new()
            .name("session-sweeper".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self { stop, thread })
    }

    /// Stops the thread, in the middle of a pass too, and waits until it has ended. Blocks.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the session sweeper panicked");
        }
    }
}

impl Worker {
    fn run(self) {
        let mut wait = FIRST_DELAY.min(self.interval) + jitter(MAX_JITTER.min(self.interval / 2));
        let mut backoff = FIRST_BACKOFF;
        while !self.is_stopped_within(wait) {
            wait = if self.pass() {
                backoff = FIRST_BACKOFF;
                self.interval
            } else {
                let wait = backoff.min(self.interval);
                backoff = (backoff * 2).min(self.interval);
                wait
            };
        }
    }

    /// One pass; whether it went well.
    fn pass(&self) -> bool {
        count(&self.counters.sweeps);
        let stop = |_, pause| self.is_stopped_within(pause);
        match sweep_until(&*self.store, self.clock.now(), stop) {
            Ok(SweepReport { deleted, elapsed }) => {
                let swept = u64::try_from(deleted).unwrap_or(u64::MAX);
                self.counters.swept.fetch_add(swept, Ordering::Relaxed);
                if deleted > 0 {
                    tracing::info!("swept {deleted} expired sessions in {elapsed:.1?}");
                } else {
                    tracing::debug!("swept no expired session in {elapsed:.1?}");
                }
                true
            }
            Err(error) => {
                count(&self.counters.sweep_failures);
                tracing::warn!("the sweep of expired sessions failed, it will go on: {error}");
                false
            }
        }
    }

    fn is_stopped_within(&self, wait: Duration) -> bool {
        self.stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
    }
}

fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
