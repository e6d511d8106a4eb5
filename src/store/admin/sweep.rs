//! A sweep pass, which deletes expired sessions.
//!
//! Any number of instances may sweep the same table. On PostgreSQL, a pass that meets another sweep
//! or a locked row skips locked rows from then on.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::batches;
use crate::store::error::StoreError;
use crate::store::request::outcome::SweepOutcome;
use crate::store::sessions::SessionStore;
use crate::store::stats::SweepRecord;

/// Maximum difference between this server's clock and the database's at which a sweep runs.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The result of a sweep pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Number of expired sessions deleted.
    pub deleted: usize,
    /// Duration of the pass.
    pub elapsed: Duration,
}

/// The options of a pass.
pub(crate) struct PassOptions {
    /// Sessions that have expired by then are deleted.
    pub(crate) now: DateTime<Utc>,
    /// Whether `now` can be compared with the database's clock.
    pub(crate) is_clock_real: bool,
    /// Whether the handles of the deleted sessions are needed.
    pub(crate) handles: bool,
}

/// A finished pass.
pub(crate) struct Pass {
    /// The result of the pass up to its end.
    pub(crate) report: SweepReport,
    /// The failure that ended the pass, if any.
    pub(crate) result: Result<(), StoreError>,
    /// Whether the pass is in the statistics.
    pub(crate) recorded: Result<(), StoreError>,
}

impl Pass {
    /// Returns the record of the pass for the statistics. The pass started at `started_at`.
    pub(super) fn record(&self, started_at: DateTime<Utc>) -> SweepRecord {
        SweepRecord {
            started_at,
            elapsed: self.report.elapsed,
            deleted: u64::try_from(self.report.deleted).unwrap_or(u64::MAX),
            error: self.result.as_ref().err().map(ToString::to_string),
        }
    }
}

/// Runs a pass.
pub(super) fn run(
    store: &dyn SessionStore,
    options: &PassOptions,
    mut stop_after: impl FnMut(&SweepOutcome, Duration) -> bool,
) -> Pass {
    let (start, mut deleted) = (Instant::now(), 0);
    let checked = if options.is_clock_real {
        check_clock(store, options.now)
    } else {
        Ok(())
    };
    let result = checked.and_then(|()| {
        batches::sweep(store, options.now, options.handles, |batch, took| {
            deleted += batch.deleted;
            stop_after(batch, took)
        })
    });
    let elapsed = start.elapsed();
    Pass {
        report: SweepReport { deleted, elapsed },
        result,
        recorded: Ok(()),
    }
}

/// Compares this server's clock, which shows `now`, with the database's. An instance whose clock is
/// ahead would delete live sessions.
fn check_clock(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<(), StoreError> {
    match store.clock()? {
        Some(theirs) if (theirs - now).abs() > MAX_SKEW => {
            Err(StoreError::ClockSkew { ours: now, theirs })
        }
        _ => Ok(()),
    }
}
