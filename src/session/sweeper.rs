//! Deleting expired sessions: one pass, and the thread that makes one every hour.
//!
//! Any number of instances may sweep the same table. On PostgreSQL, a pass that meets another one, or a
//! row that somebody holds, skips what is held from then on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::background::{Background, Schedule, Stop};
use super::clock::Clock;
use super::metrics::{Call, whole};
use super::monitor::Monitor;
use crate::store::{SessionStore, StatsStore, StoreError, SweepBatch, SweepRecord, Swept};

/// Rows of the first delete of a pass.
const FIRST_BATCH: u32 = 1000;

/// Batches grow while they take less than this, and shrink when they take longer than twice this:
/// many rows at a time cost the least, and nothing is to wait long for them.
const GOOD_BATCH: Duration = Duration::from_millis(20);
const SMALLEST_BATCH: u32 = 100;
const LARGEST_BATCH: u32 = 20_000;

/// Between two batches, for SQLite's other writers.
const BREATH: Duration = Duration::from_millis(2);

/// The first pass comes this long after the start, and up to a random while later, so that
/// instances that start together do not sweep together.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const MAX_JITTER: Duration = Duration::from_secs(30);

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
    let start = Instant::now();
    let mut deleted = 0;
    sweep_batches(store, now, false, |batch, _| {
        deleted += batch.deleted;
        progress(deleted);
        std::thread::sleep(BREATH);
        false
    })?;
    let elapsed = start.elapsed();
    Ok(SweepReport { deleted, elapsed })
}

/// A pass that hands over each batch with the time it took, and ends early when it is told to.
fn sweep_batches(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    handles: bool,
    mut stop_after: impl FnMut(&Swept, Duration) -> bool,
) -> Result<(), StoreError> {
    let (mut limit, mut contended) = (FIRST_BATCH, false);
    loop {
        let start = Instant::now();
        let batch = store.sweep(&SweepBatch {
            now,
            limit,
            handles,
            contended,
        })?;
        let took = start.elapsed();
        if batch.deleted == 0 || stop_after(&batch, took) {
            return Ok(());
        }
        if batch.contended != contended {
            contended = batch.contended;
            limit = FIRST_BATCH;
        } else if took < GOOD_BATCH {
            limit = (limit * 2).min(LARGEST_BATCH);
        } else if took > GOOD_BATCH * 2 {
            limit = (limit / 2).max(SMALLEST_BATCH);
        }
    }
}

/// What makes passes, and keeps that it did.
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) stats: Option<Arc<dyn StatsStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
}

impl Sweeper {
    /// Starts the thread `session-sweeper`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        let first = FIRST_DELAY.min(interval) + jitter(MAX_JITTER.min(interval / 2));
        let schedule = Schedule { first, interval };
        Background::start("session-sweeper", schedule, move |stop| self.pass(stop))
    }

    /// One pass of the thread; whether it went well.
    fn pass(&self, stop: &Stop) -> bool {
        match self.sweep(|| stop.within(BREATH)) {
            Ok(SweepReport { deleted, elapsed }) if deleted > 0 => {
                tracing::info!("swept {deleted} expired sessions in {elapsed:.1?}");
                true
            }
            Ok(_) => {
                tracing::debug!("swept no expired session");
                true
            }
            Err(error) => {
                tracing::warn!("the sweep of expired sessions failed, it will go on: {error}");
                false
            }
        }
    }

    /// One pass, which `stop`, asked after each batch, can end.
    ///
    /// # Errors
    /// When the store fails; what was deleted until then stays deleted.
    pub(crate) fn sweep(&self, mut stop: impl FnMut() -> bool) -> Result<SweepReport, StoreError> {
        let (start, started_at) = (Instant::now(), self.clock.now());
        let metrics = &self.monitor.metrics;
        metrics.sweeps.inc();
        let mut deleted = 0;
        let handles = self.monitor.has_hooks();
        let result = sweep_batches(&*self.store, started_at, handles, |batch, took| {
            deleted += batch.deleted;
            metrics.called(Call::Sweep, batch.deleted, took);
            self.monitor.swept(batch);
            stop()
        });
        let elapsed = start.elapsed();
        metrics.swept(deleted, elapsed);
        if result.is_err() {
            metrics.sweep_failures.inc();
        }
        self.keep(&SweepRecord {
            started_at,
            elapsed,
            deleted: whole(deleted),
            error: result.as_ref().err().map(ToString::to_string),
        });
        result.map(|()| SweepReport { deleted, elapsed })
    }

    fn keep(&self, record: &SweepRecord) {
        if let Some(stats) = &self.stats
            && let Err(error) = stats.add_sweep(record)
        {
            tracing::debug!("the sweep is not in the statistics: {error}");
        }
    }
}

fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
