//! Deletes expired sessions: a single pass, and the thread that runs one every hour.
//!
//! Any number of instances may sweep the same table. On PostgreSQL, a pass that meets another sweep
//! or a locked row skips locked rows from then on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::batches::{self, BREATH};
use super::thread::{Background, Schedule, Stop};
use crate::session::clock::Clock;
use crate::session::observe::metrics::{Call, whole};
use crate::session::observe::monitor::{AUDIT_LOG, Monitor};
use crate::session::observe::seldom::Seldom;
use crate::store::{SessionStore, StatsStore, StoreError, SweepRecord};

/// Maximum difference between this server's clock and the database's at which a sweep runs.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Time from the start to the first pass. A random delay is added, so that instances that start
/// together do not sweep together.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Maximum of that random delay.
const MAX_JITTER: Duration = Duration::from_secs(30);

/// The result of a sweep pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Number of expired sessions deleted.
    pub deleted: usize,
    /// Duration of the pass.
    pub elapsed: Duration,
}

/// Deletes all sessions that have expired by `now`, in batches.
///
/// # Errors
/// Fails if the store fails. Sessions deleted by then stay deleted.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
/// use rocket_diesel_sessions::admin::sweep_once;
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// println!("{} sessions deleted", sweep_once(&store, SystemClock.now())?.deleted);
/// # Ok(())
/// # }
/// ```
pub fn sweep_once(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<SweepReport, StoreError> {
    sweep_with_progress(store, now, |_| {})
}

/// Deletes expired sessions like [`sweep_once`], and calls `progress` after each batch with the
/// number of sessions deleted so far.
///
/// # Errors
/// Fails as [`sweep_once`] does.
pub fn sweep_with_progress(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    mut progress: impl FnMut(usize),
) -> Result<SweepReport, StoreError> {
    let start = Instant::now();
    let mut deleted = 0;
    batches::sweep(store, now, false, |batch, _| {
        deleted += batch.deleted;
        progress(deleted);
        std::thread::sleep(BREATH);
        false
    })?;
    let elapsed = start.elapsed();
    Ok(SweepReport { deleted, elapsed })
}

/// Compares this server's clock, which shows `now`, with the database's. An instance whose clock is
/// ahead would delete live sessions.
///
/// # Errors
/// Returns [`StoreError::ClockSkew`] if the clocks differ by more than five minutes. Fails if the
/// store fails.
pub fn check_clock(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<(), StoreError> {
    match store.clock()? {
        Some(theirs) if (theirs - now).abs() > MAX_SKEW => {
            Err(StoreError::ClockSkew { ours: now, theirs })
        }
        _ => Ok(()),
    }
}

/// Runs sweep passes and records each in the statistics.
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) stats: Option<Arc<dyn StatsStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    /// Limits how often failures are logged.
    pub(crate) failure: Seldom,
}

impl Sweeper {
    /// Starts the thread `session-sweeper`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        let first = FIRST_DELAY.min(interval) + jitter(MAX_JITTER.min(interval / 2));
        let schedule = Schedule { first, interval };
        Background::start("session-sweeper", schedule, move |stop| self.pass(stop))
    }

    /// Runs one pass of the thread. Returns whether it succeeded.
    fn pass(&self, stop: &Stop) -> bool {
        match self.sweep(|| stop.within(BREATH)) {
            Ok(SweepReport { deleted, elapsed }) if deleted > 0 => {
                tracing::info!(
                    target: AUDIT_LOG, event = "swept", by = "sweeper", deleted,
                    "swept {deleted} expired sessions in {elapsed:.1?}"
                );
                true
            }
            Ok(_) => {
                tracing::debug!("there were no expired sessions to sweep");
                true
            }
            Err(error) if self.monitor.is_reported(&error) => false,
            Err(error) => {
                let failure = format_args!(
                    "the sweep of expired sessions failed and will be tried again: {error}"
                );
                self.monitor.background_failed(&self.failure, failure);
                false
            }
        }
    }

    /// Runs one pass. `stop` is called after each batch and ends the pass if it returns `true`.
    ///
    /// # Errors
    /// Fails if the clocks differ or the store fails. Sessions deleted by then stay deleted.
    pub(crate) fn sweep(&self, mut stop: impl FnMut() -> bool) -> Result<SweepReport, StoreError> {
        let (start, started_at) = (Instant::now(), self.clock.now());
        let metrics = &self.monitor.metrics;
        metrics.sweeps.inc();
        let mut deleted = 0;
        let handles = self.monitor.has_hooks();
        let checked = if self.clock.is_real() {
            check_clock(&*self.store, started_at)
        } else {
            Ok(())
        };
        let result = checked.and_then(|()| {
            batches::sweep(&*self.store, started_at, handles, |batch, took| {
                deleted += batch.deleted;
                metrics.called(Call::Sweep, batch.deleted, took);
                self.monitor.swept(batch);
                stop()
            })
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
            tracing::debug!("the sweep could not be recorded in the statistics: {error}");
        }
    }
}

fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
