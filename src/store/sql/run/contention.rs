//! Remembers for a moment that other transactions hold rows.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How a batch meets rows that another transaction holds. SQLite has no locks of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum HeldRows {
    /// Waits for them, as long as a statement waits for a lock.
    Wait,
    /// Leaves them out, and reports them.
    Skip,
}

/// Whether a held row was met lately. While it was, batches skip held rows at once, since each that
/// waited would keep its other rows waiting as well.
#[derive(Debug, Default)]
pub(in crate::store) struct Contention {
    last_met: Mutex<Option<Instant>>,
}

impl Contention {
    /// How long batches go on to skip held rows after one was met.
    const REMEMBERED: Duration = Duration::from_secs(5);

    /// Records that a held row was met.
    pub(in crate::store) fn record(&self) {
        *self.last_met.lock() = Some(Instant::now());
    }

    /// Returns whether one was met lately.
    pub(in crate::store) fn is_recent(&self) -> bool {
        let last_met = *self.last_met.lock();
        last_met.is_some_and(|met| met.elapsed() < Self::REMEMBERED)
    }
}
