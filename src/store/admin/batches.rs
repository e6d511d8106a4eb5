//! Deletes many rows in batches whose size adapts to the time that they take.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::error::StoreError;
use crate::store::ids::SessionHandle;
use crate::store::outcome::SweepOutcome;
use crate::store::request::SweepBatch;
use crate::store::sessions::SessionStore;

/// Rows in the first batch.
const FIRST: u32 = 1000;

/// The target duration of a batch. Batches grow below it and shrink above twice its value: large
/// batches cost the least per row, but others must not wait long for them.
const GOOD: Duration = Duration::from_millis(20);
const SMALLEST: u32 = 100;
const LARGEST: u32 = 20_000;

/// Pause between two batches, in which other writers of SQLite get their turn.
pub(crate) const BREATH: Duration = Duration::from_millis(2);

/// Maximum time by which the clocks of other instances may be ahead of this one's.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// The maximum number of rows in the next batch.
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

/// Sweeps in batches. Passes each batch and its duration to `stop_after`, and ends early if that
/// returns `true`.
pub(super) fn sweep(
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

/// Ends all sessions in batches and calls `ended` with the handles of each batch.
pub(super) fn clear(
    store: &dyn SessionStore,
    now: DateTime<Utc>,
    mut ended: impl FnMut(&[SessionHandle]),
) -> Result<(), StoreError> {
    let bound = now + AHEAD;
    let mut size = Size(FIRST);
    loop {
        let start = Instant::now();
        let batch = store.clear(bound, size.0)?;
        let took = start.elapsed();
        ended(&batch);
        // Sessions created while this runs are not pursued. A batch can be slightly smaller than
        // its limit, because requests have ended some of its sessions.
        if batch.len() < size.0 as usize / 2 {
            return Ok(());
        }
        size.learn(took);
        std::thread::sleep(BREATH);
    }
}
