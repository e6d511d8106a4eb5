//! Changes of tokens that may have to be undone.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Limits;
use super::state::State;
use crate::session::pipeline::untold::Undo;
use crate::store::Withdrawal;

/// Maximum number of superseded undos, whose tokens have been replaced.
const MAX_SUPERSEDED: usize = 10_000;
/// How long superseded undos are kept if there are that many.
const SUPERSEDED_FOR: Duration = Duration::from_mins(1);

/// A change of a token in progress.
pub(super) struct Attempt {
    withdrawal: Withdrawal,
    began: Instant,
}

impl State {
    pub(super) fn begin_attempt(&mut self, withdrawal: Withdrawal) -> u64 {
        let number = self.next_attempt;
        self.next_attempt += 1;
        let began = Instant::now();
        self.attempts.insert(number, Attempt { withdrawal, began });
        self.untold += 1;
        number
    }

    /// Queues the undos of token changes whose callers have stopped waiting. Such a change may be
    /// committed later, so it is looked for until it counts as stuck.
    pub(super) fn undo_late_attempts(&mut self, limits: Limits, now: Instant) {
        let late = self
            .attempts
            .extract_if(|_, attempt| now.duration_since(attempt.began) >= limits.timeout);
        let undos = late.map(|(_, attempt)| Undo::unsure(attempt.withdrawal, limits.patience));
        self.undos.extend(undos.map(|undo| (now, undo)));
    }

    /// Remembers an undo whose token has been replaced by another. If that one is withdrawn, this
    /// undo is due after all.
    pub(super) fn supersede(&mut self, withdrawal: Withdrawal) {
        let now = Instant::now();
        if self.superseded.len() >= MAX_SUPERSEDED {
            let is_recent = |since: &Instant| now.duration_since(*since) < SUPERSEDED_FOR;
            self.superseded.retain(|_, (since, _)| is_recent(since));
        }
        if self.superseded.len() < MAX_SUPERSEDED {
            let token = withdrawal.session_id;
            self.superseded.insert(token, (now, withdrawal));
        }
    }

    /// Queues the superseded undo of a token that was just restored.
    pub(super) fn restored(&mut self, token: &Uuid) {
        if let Some((now, withdrawal)) = self.superseded.remove(token) {
            self.undos.push((now, Undo::sure(withdrawal)));
        }
    }
}
