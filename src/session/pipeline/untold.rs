//! Tokens that are committed and that no visitor has been told of.
//!
//! A token is worth nothing before its visitor has the cookie. Until the cookie is in an answer,
//! whatever keeps it from getting there undoes the change: a deadline, a handler that is cancelled,
//! an answer of 503, a panic. The visitor's old cookie is good again afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::oneshot;

use crate::store::{SessionRecord, StoreError, Withdrawal};

/// How long an undo is tried while the database fails.
const TRY_FOR: Duration = Duration::from_mins(10);

/// Between two tries: while the database fails, or while it is not known whether the token was
/// committed.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Where changes of tokens are kept in mind while they are being made, and undos until they are done.
/// The queue is one; what owes to it need not know how it works.
pub(super) trait Ledger: Send + Sync {
    /// Keeps a change of a token in mind while it is being made; returns its number.
    fn begin_attempt(&self, withdrawal: Withdrawal) -> u64;

    /// Forgets an attempt that came to an end; returns whether that was in time.
    fn end_attempt(&self, number: u64) -> bool;

    /// Takes in an undo, also when all else is refused.
    fn push_undo(&self, undo: Undo);

    /// The time after which a call that has not come back is taken to be stuck.
    fn patience(&self) -> Duration;
}

/// A change of a session's token. Dropping it undoes the change.
pub(crate) struct Untold {
    /// `None` when there is nothing to undo.
    undo: Option<Undo>,
    /// While the change is being made: its place among the ledger's attempts.
    attempt: Option<u64>,
    /// Whether it took so long that it is being undone already.
    is_late: bool,
    ledger: Arc<dyn Ledger>,
}

/// The undoing of one change.
pub(super) struct Undo {
    pub(super) withdrawal: Withdrawal,
    /// Set while it is not known whether the change was committed, or will be: it is looked for
    /// until this moment.
    pub(super) unsure_until: Option<Instant>,
    /// When it is given up if the database goes on failing.
    pub(super) gives_up: Instant,
    /// How long the next try waits.
    pub(super) backoff: Duration,
    /// Says that it is done.
    pub(super) done: Option<oneshot::Sender<()>>,
}

impl Undo {
    /// The undoing of a change of which it is not known whether it was, or will be, committed.
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

    /// The undoing of a change that is committed.
    pub(super) fn sure(withdrawal: Withdrawal) -> Self {
        Self {
            unsure_until: None,
            ..Self::unsure(withdrawal, Duration::ZERO)
        }
    }

    /// How long to wait before the next try.
    pub(super) fn next_backoff(&mut self) -> Duration {
        let backoff = self.backoff;
        self.backoff = (backoff * 2).min(MAX_BACKOFF);
        backoff
    }
}

impl Untold {
    /// A change that is about to be made. If what comes of it is not known in time, it is looked for
    /// and undone.
    pub(super) fn attempt(ledger: Arc<dyn Ledger>, withdrawal: Withdrawal) -> Self {
        let attempt = Some(ledger.begin_attempt(withdrawal.clone()));
        Self {
            undo: Some(Undo::unsure(withdrawal, ledger.patience())),
            attempt,
            is_late: false,
            ledger,
        }
    }

    /// The change is committed.
    pub(crate) fn committed(mut self) -> Self {
        self.end_attempt();
        if let Some(undo) = &mut self.undo {
            undo.unsure_until = None;
        }
        self
    }

    /// The same change of a session that was `previous` before, which is known better now.
    pub(super) fn of(mut self, previous: Option<Box<SessionRecord>>) -> Self {
        if let (Some(undo), Some(previous)) = (&mut self.undo, previous) {
            undo.withdrawal.previous = Some(previous);
        }
        self
    }

    /// Returns whether the change took so long that it is being undone already.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// The change failed with `error`. Where that says that nothing was committed, there is nothing
    /// to undo.
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

    /// The change was not made: there is nothing to undo.
    pub(super) fn not_made(mut self) {
        self.undo = None;
    }

    /// The visitor has been told: the change stays.
    pub(crate) fn told(mut self) {
        self.undo = None;
    }

    /// Undoes the change; returns when that is committed, or given up.
    pub(crate) async fn undo(mut self) {
        let (done, is_done) = oneshot::channel();
        if let Some(undo) = &mut self.undo {
            undo.done = Some(done);
        }
        drop(self);
        // Dropped when it is given up.
        let _ = is_done.await;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        self.end_attempt();
        if let Some(undo) = self.undo.take() {
            self.ledger.push_undo(undo);
        }
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
    /// A change of which nothing is left to undo.
    pub(crate) fn settled() -> Self {
        struct Empty;

        impl Ledger for Empty {
            fn begin_attempt(&self, _: Withdrawal) -> u64 {
                0
            }

            fn end_attempt(&self, _: u64) -> bool {
                true
            }

            fn push_undo(&self, _: Undo) {}

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
