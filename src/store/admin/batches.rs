//! Deletes many rows in batches whose size adapts to the time that they take.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::error::StoreError;
use crate::store::ids::SessionHandle;
use crate::store::record::SessionRecord;
use crate::store::request::SweepBatch;
use crate::store::request::outcome::SweepOutcome;
use crate::store::scan::{ScanSessions, SessionScope};
use crate::store::sessions::SessionStore;

/// Rows in the first batch.
const FIRST: u32 = 1000;

/// The target duration of a batch of a sweep, which runs beside requests. Batches grow below it and
/// shrink above twice its value: large batches cost the least per row, but others must not wait long
/// for them.
const GOOD: Duration = Duration::from_millis(20);
/// The target duration of a batch that ends live sessions. Someone waits for the last of them.
const GOOD_TO_CLEAR: Duration = Duration::from_millis(100);
const SMALLEST: u32 = 100;
/// Maximum number of rows in a batch. It bounds the memory of their handles to a few megabytes.
const LARGEST: u32 = 50_000;

/// Pause between two batches, in which other writers of SQLite get their turn.
pub(crate) const BREATH: Duration = Duration::from_millis(2);

/// Maximum time by which the clocks of other instances may be ahead of this one's.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// The size of the next batch.
struct Size {
    /// Maximum number of rows.
    rows: u32,
    /// The target duration.
    good: Duration,
}

impl Size {
    fn first(good: Duration) -> Self {
        Self { rows: FIRST, good }
    }

    fn learn(&mut self, took: Duration) {
        if took < self.good {
            self.rows = (self.rows * 2).min(LARGEST);
        } else if took > self.good * 2 {
            self.rows = (self.rows / 2).max(SMALLEST);
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
    let (mut size, mut contended, mut from) = (Size::first(GOOD), false, None);
    loop {
        let start = Instant::now();
        let batch = store.sweep(&SweepBatch {
            now,
            limit: size.rows,
            from,
            handles,
            contended,
        })?;
        let took = start.elapsed();
        if batch.deleted == 0 || stop_after(&batch, took) {
            return Ok(());
        }
        from = batch.reached.or(from);
        if batch.contended == contended {
            size.learn(took);
        } else {
            contended = batch.contended;
            size = Size::first(GOOD);
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
    let mut size = Size::first(GOOD_TO_CLEAR);
    loop {
        let start = Instant::now();
        let batch = store.clear(bound, size.rows)?;
        let took = start.elapsed();
        // A store may end fewer than asked for. Sessions created while this runs are not pursued.
        if batch.is_empty() {
            return Ok(());
        }
        ended(&batch);
        size.learn(took);
        std::thread::sleep(BREATH);
    }
}

/// The maximum number of times that the sessions of an address are gone through. A session that gets
/// a new token in the meantime moves behind the place reached, and the next time finds it.
const PASSES: u32 = 10;

/// Ends all sessions of an address in batches and calls `ended` with those of each batch.
pub(super) fn end_address(
    store: &dyn SessionStore,
    ip: IpAddr,
    now: DateTime<Utc>,
    mut ended: impl FnMut(&[SessionRecord]),
) -> Result<(), StoreError> {
    let bound = now + AHEAD;
    let mut size = Size::first(GOOD_TO_CLEAR);
    for _ in 0..PASSES {
        let (mut after, mut has_ended) = (None, false);
        loop {
            let start = Instant::now();
            let mut scan = ScanSessions::new(now, size.rows);
            (scan.scope, scan.after) = (SessionScope::Address(ip), after);
            let step = store.scan(&scan)?;
            let sessions = step.sessions.into_iter().map(|scanned| scanned.session);
            let mut batch: Vec<SessionRecord> =
                sessions.filter(|row| row.created_at <= bound).collect();
            if !batch.is_empty() {
                let handles: Vec<SessionHandle> = batch.iter().map(|row| row.id.clone()).collect();
                let gone: HashSet<SessionHandle> = store.delete(&handles)?.into_iter().collect();
                batch.retain(|row| gone.contains(&row.id));
                if !batch.is_empty() {
                    has_ended = true;
                    ended(&batch);
                }
                size.learn(start.elapsed());
                std::thread::sleep(BREATH);
            }
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        if !has_ended {
            break;
        }
    }
    Ok(())
}
