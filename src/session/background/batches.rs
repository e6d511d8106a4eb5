//! Deleting many rows, in batches whose size follows the time that they take.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{SessionStore, StoreError, SweepBatch, SweepOutcome};

/// Rows of a first delete.
const FIRST: u32 = 1000;

/// Batches grow while they take less than this, and shrink when they take longer than twice this:
/// many rows at a time cost the least, and nothing is to wait long for them.
const GOOD: Duration = Duration::from_millis(20);
const SMALLEST: u32 = 100;
const LARGEST: u32 = 20_000;

/// Between two batches, for SQLite's other writers.
pub(in crate::session) const BREATH: Duration = Duration::from_millis(2);

/// How far the clocks of other instances may be ahead of this one's.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// How many rows the next batch has at most.
struct Size(u32);

impl Size {
    fn learn(&mut self, took: Duration) {
        if took < GOOD {
            self.0 = (self.0 * 2).min(LARGEST);
        } else if took > GOOD * 2 {
            self.0 = (self.0 / 2).max(SMALLEST);
        }
    }
}

/// A sweep that hands over each batch with the time it took, and ends early when `stop_after`
/// says so.
pub(in crate::session) fn sweep(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    handles: bool,
    mut stop_after: impl FnMut(&SweepOutcome, Duration) -> bool,
) -> Result<(), StoreError> {
    let (mut size, mut contended) = (Size(FIRST), false);
    loop {
        let start = Instant::now();
        let batch = store.sweep(&SweepBatch {
            now,
            limit: size.0,
            handles,
            contended,
        })?;
        let took = start.elapsed();
        if batch.deleted == 0 || stop_after(&batch, took) {
            return Ok(());
        }
        if batch.contended == contended {
            size.learn(took);
        } else {
            contended = batch.contended;
            size = Size(FIRST);
        }
    }
}

/// Ends all sessions that there are, in batches, and calls `ended` with the public handles of each
/// batch. Sessions are among them that instances whose clocks are minutes ahead have made.
///
/// # Errors
/// When the store fails; what was ended until then stays ended.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
/// use rocket_diesel_sessions::admin::clear_all;
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// clear_all(&store, SystemClock.now(), |ended| println!("{} ended", ended.len()))?;
/// # Ok(())
/// # }
/// ```
pub fn clear_all(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    mut ended: impl FnMut(&[String]),
) -> Result<(), StoreError> {
    let bound = now + AHEAD;
    let mut size = Size(FIRST);
    loop {
        let start = Instant::now();
        let batch = store.clear(bound, size.0)?;
        let took = start.elapsed();
        ended(&batch);
        // What is made while this runs is not pursued. A batch can be a little smaller than its
        // limit because requests have ended some of it.
        if batch.len() < size.0 as usize / 2 {
            return Ok(());
        }
        size.learn(took);
        std::thread::sleep(BREATH);
    }
}
