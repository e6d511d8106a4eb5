//! Remembers for a few seconds that other transactions hold rows.

#[cfg(feature = "postgres")]
use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[cfg(feature = "postgres")]
use crate::store::SessionHandle;

/// The reaction of a batch to rows that another transaction has locked. SQLite has no row locks.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum HeldRows<'c> {
    /// Waits for them, up to the lock timeout.
    Wait,
    /// Skips and reports them. On engines that cannot skip rows, those that were met are remembered.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "SQLite has no row locks")
    )]
    Skip(&'c Contention),
}

/// Records whether a locked row was met recently. While that is so, batches skip locked rows at
/// once, because a batch that waits for one row keeps its other rows waiting too.
#[derive(Debug, Default)]
pub(in crate::store) struct Contention {
    last_met: Mutex<Option<Instant>>,
    /// When each session was last met with a locked row.
    #[cfg(feature = "postgres")]
    held: Mutex<HashMap<SessionHandle, Instant>>,
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

    /// Returns when the row of this session was last met locked, if that was recently.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn held_at(&self, id: &SessionHandle) -> Option<Instant> {
        let held_at = self.held.lock().get(id).copied();
        held_at.filter(|at| at.elapsed() < Self::REMEMBERED)
    }

    /// Records that the row of this session is locked.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn record_held(&self, id: &SessionHandle) {
        let mut held = self.held.lock();
        held.retain(|_, at| at.elapsed() < Self::REMEMBERED);
        held.insert(id.clone(), Instant::now());
    }

    /// Records that the row of this session is free.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn record_free(&self, id: &SessionHandle) {
        self.held.lock().remove(id);
    }
}
