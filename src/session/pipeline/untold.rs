//! Changes of tokens that are committed but not yet delivered to their visitors.
//!
//! A token is useless until its visitor has it. Until a response carries it, in a cookie or in the
//! body that a handler has made, anything that prevents this undoes the change: a deadline, a
//! cancelled handler, a 503, a panic. The visitor's old token is then valid again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::oneshot;

use crate::store::{SessionRecord, StoreError, Withdrawal};

/// How long an undo is tried while the database fails.
const TRY_FOR: Duration = Duration::from_mins(10);

/// The first pause between two attempts, while the database fails or while it is unknown whether
/// the token was committed.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Keeps changes of tokens while they are in progress, and undos until they are done. The queue
/// implements it.
pub(super) trait Ledger: Send + Sync {
    /// Registers a change of a token in progress and returns its number.
    fn begin_attempt(&self, withdrawal: Withdrawal) -> u64;

    /// Removes an attempt that has ended. Returns whether that was in time.
    fn end_attempt(&self, number: u64) -> bool;

    /// Ends a registered change, which is delivered or has to be undone. Accepts an undo even if
    /// the queue refuses everything else.
    fn end_change(&self, undo: Option<Undo>);

    /// Returns the time after which a call that has not returned counts as stuck.
    fn patience(&self) -> Duration;
}

/// A change of a session's token that is not yet delivered. Dropping it undoes the change.
pub(crate) struct Untold {
    /// `None` if there is nothing to undo.
    undo: Option<Undo>,
    /// The change's number among the ledger's attempts, while it is in progress.
    attempt: Option<u64>,
    /// Whether the change took so long that it is already being undone.
    is_late: bool,
    ledger: Arc<dyn Ledger>,
}

/// The undo of a change.
pub(super) struct Undo {
    pub(super) withdrawal: Withdrawal,
    /// Set while it is unknown whether the change was or will be committed. Until this moment, the
    /// undo is repeated.
    pub(super) unsure_until: Option<Instant>,
    /// When the undo is given up if the database keeps failing.
    pub(super) gives_up: Instant,
    /// The pause before the next attempt.
    pub(super) backoff: Duration,
    /// Signals that the undo is done.
    pub(super) done: Option<oneshot::Sender<()>>,
}

impl Undo {
    /// Returns the undo of a change that may have been, or may yet be, committed.
    pub(super) fn unsure(withdrawal: Withdrawal, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            withdrawal,
            unsure_until: Some(now + patience),
            gives_up: now + TRY_FOR,
            backoff: FIRST_BACKOFF,
            done: None,
        }
    }

    /// Returns the undo of a committed change.
    pub(super) fn sure(withdrawal: Withdrawal) -> Self {
        Self {
            unsure_until: None,
            ..Self::unsure(withdrawal, Duration::ZERO)
        }
    }

    /// Returns the pause before the next attempt, and doubles it for the one after.
    pub(super) fn next_backoff(&mut self) -> Duration {
        let backoff = self.backoff;
        self.backoff = (backoff * 2).min(MAX_BACKOFF);
        backoff
    }
}

impl Untold {
    /// Registers a change that is about to be made. If its outcome is not known in time, it is
    /// undone.
    pub(super) fn attempt(ledger: Arc<dyn Ledger>, withdrawal: Withdrawal) -> Self {
        let attempt = Some(ledger.begin_attempt(withdrawal.clone()));
        Self {
            undo: Some(Undo::unsure(withdrawal, ledger.patience())),
            attempt,
            is_late: false,
            ledger,
        }
    }

    /// Records that the change is committed.
    pub(crate) fn committed(mut self) -> Self {
        self.end_attempt();
        if let Some(undo) = &mut self.undo {
            undo.unsure_until = None;
        }
        self
    }

    /// Replaces the session's previous state by a more precise one, if there is one.
    pub(super) fn of(mut self, previous: Option<Box<SessionRecord>>) -> Self {
        if let (Some(undo), Some(previous)) = (&mut self.undo, previous) {
            undo.withdrawal.previous = Some(previous);
        }
        self
    }

    /// Returns whether the change took so long that it is already being undone.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Records that the change failed with `error`. If the error says that nothing was committed,
    /// there is nothing to undo.
    pub(super) fn failed(mut self, error: &StoreError) {
        if error.is_certain() {
            self.undo = None;
        }
    }

    fn end_attempt(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.is_late = !self.ledger.end_attempt(attempt);
        }
    }

    /// Records that the change was not made, so that there is nothing to undo.
    pub(super) fn not_made(mut self) {
        self.undo = None;
    }

    /// Records that the change was delivered to the visitor and stays.
    pub(crate) fn told(mut self) {
        self.undo = None;
    }

    /// Undoes the change. Returns when the undo is committed or given up.
    pub(crate) async fn undo(mut self) {
        let (done, is_done) = oneshot::channel();
        if let Some(undo) = &mut self.undo {
            undo.done = Some(done);
        }
        drop(self);
        // The sender is dropped if the undo is given up.
        let _ = is_done.await;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        self.end_attempt();
        self.ledger.end_change(self.undo.take());
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.undo.as_ref().map(|undo| &undo.withdrawal.id);
        f.debug_tuple("Untold").field(&id).finish()
    }
}

#[cfg(test)]
impl Untold {
    /// Returns a change with nothing to undo.
    pub(crate) fn settled() -> Self {
        struct Empty;

        impl Ledger for Empty {
            fn begin_attempt(&self, _: Withdrawal) -> u64 {
                0
            }

            fn end_attempt(&self, _: u64) -> bool {
                true
            }

            fn end_change(&self, _: Option<Undo>) {}

            fn patience(&self) -> Duration {
                Duration::ZERO
            }
        }

        Self {
            undo: None,
            attempt: None,
            is_late: false,
            ledger: Arc::new(Empty),
        }
    }
}
