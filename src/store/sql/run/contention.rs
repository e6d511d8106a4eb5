//! Remembers for a few seconds that other transactions hold rows.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The reaction of a batch to rows that another transaction has locked. SQLite has no row locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum HeldRows {
    /// Waits for them, up to the lock timeout.
    Wait,
    /// Skips and reports them.
    Skip,
}

/// Records whether a locked row was met recently. While that is so, batches skip locked rows at
/// once, because a batch that waits for one row keeps its other rows waiting too.
#[derive(Debug, Default)]
pub(in crate::store) struct Contention {
    last_met: Mutex<Option<Instant>>,
}

impl Contention {
    /// How long batches skip locked rows after one was met.
    const REMEMBERED: Duration = Duration::from_secs(5);

    /// Records that a locked row was met.
    pub(in crate::store) fn record(&self) {
        *self.last_met.lock() = Some(Instant::now());
    }

    /// Returns whether a locked row was met recently.
    pub(in crate::store) fn is_recent(&self) -> bool {
        let last_met = *self.last_met.lock();
        last_met.is_some_and(|met| met.elapsed() < Self::REMEMBERED)
    }
}
