//! Tokens that are committed and that no visitor has been told of.
//!
//! A token is worth nothing before its visitor has the cookie. Until the cookie is in an answer,
//! whatever keeps it from getting there undoes the change: a deadline, a handler that is cancelled,
//! an answer of 503, a panic. The visitor's old cookie is good again afterwards.

pub(super) mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::oneshot;

use super::queue::Queue;
use crate::store::{SessionRecord, StoreError, Withdrawal};

/// How long an undo is tried while the database fails.
const TRY_FOR: Duration = Duration::from_mins(10);

/// Between two tries: while the database fails, or while it is not known whether the token was
/// committed.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// A change of a session's token. Dropping it undoes the change.
pub(crate) struct Untold {
    /// `None` when there is nothing to undo.
    undo: Option<Undo>,
    /// While the change is being made: its place among the queue's attempts.
    attempt: Option<u64>,
    /// Whether it took so long that it is being undone already.
    is_late: bool,
    queue: Arc<Queue>,
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
}

impl Undo {
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
    pub(super) fn attempt(queue: &Arc<Queue>, withdrawal: Withdrawal) -> Self {
        let attempt = Some(queue.begin_attempt(withdrawal.clone()));
        Self {
            undo: Some(Undo::unsure(withdrawal, queue.patience())),
            attempt,
            is_late: false,
            queue: Arc::clone(queue),
        }
    }

    /// A change of which nothing is left to undo.
    #[cfg(test)]
    pub(crate) fn settled() -> Self {
        let limits = super::queue::Limits {
            waiting: 1,
            batch: 1,
            writers: 1,
            timeout: Duration::ZERO,
            patience: Duration::ZERO,
            is_clock_real: true,
        };
        Self {
            undo: None,
            attempt: None,
            is_late: false,
            queue: Arc::new(Queue::new(limits)),
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
        if is_certain(error) {
            self.undo = None;
        }
    }

    fn end_attempt(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.is_late = !self.queue.end_attempt(attempt);
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
            self.queue.push_undo(undo);
        }
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.undo.as_ref().map(|undo| &undo.withdrawal.id);
        f.debug_tuple("Untold").field(&id).finish()
    }
}

/// Returns whether nothing was written when a call failed with `error`. After a broken connection,
/// and after a call that came to no end in time, that is not known.
fn is_certain(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::Broken(_) | StoreError::TooLate | StoreError::Panicked
    )
}
