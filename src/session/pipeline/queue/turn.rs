//! Turns: the jobs that a worker takes at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::session::pipeline::job::LoadJob;
use crate::session::pipeline::worker::round::{Round, WriteTurn};
use crate::session::pipeline::worker::update::SessionUpdates;
use crate::store::Withdrawal;

/// Identifies a running turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session::pipeline) struct TurnId(pub(super) u64);

/// The next jobs of a worker. Each turn ends with [`Queue::end`](super::Queue::end).
pub(in crate::session::pipeline) enum Turn {
    Loads(Vec<LoadJob>, TurnId),
    Writes(WriteTurn, TurnId, Arc<Bench>),
}

impl Turn {
    /// Returns the number of jobs for which someone waits.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Loads(jobs, _) => jobs.len(),
            Self::Writes(turn, ..) => turn.len(),
        }
    }
}

/// Holds a round of writes while a closure of one of its updates runs. A closure that does not
/// return blocks only its own session, because the rest of the round can be taken away and given to
/// another worker.
#[derive(Default)]
pub(in crate::session::pipeline) struct Bench {
    state: Mutex<BenchState>,
}

#[derive(Default)]
struct BenchState {
    /// `None` while no closures are to run, and for good once the round was taken away.
    round: Option<Round>,
    /// When the running closure started, and the handle of its session.
    closure: Option<(Instant, String)>,
}

impl Bench {
    pub(in crate::session::pipeline) fn put(&self, round: Round) {
        self.lock().round = Some(round);
    }

    /// Takes out the updates of the next session whose closures are to run. Returns `None` if none
    /// is left or the round was taken away.
    pub(in crate::session::pipeline) fn begin(&self) -> Option<SessionUpdates> {
        let mut state = self.lock();
        let updates = state.round.as_mut()?.updates.pop()?;
        state.closure = Some((Instant::now(), updates.handle().to_owned()));
        Some(updates)
    }

    /// Ends the run that [`begin`](Self::begin) started, and puts its result into the round with
    /// `put`. Returns the result if the round was taken away in the meantime.
    pub(in crate::session::pipeline) fn end<T>(
        &self,
        made: T,
        put: impl FnOnce(&mut Round, T),
    ) -> Option<T> {
        let mut state = self.lock();
        state.closure = None;
        match &mut state.round {
            Some(round) => {
                put(round, made);
                None
            }
            None => Some(made),
        }
    }

    /// Takes the round out.
    pub(in crate::session::pipeline) fn take(&self) -> Round {
        self.lock().round.take().unwrap_or_default()
    }

    /// Takes the round away if a closure has run for `limit`. Also returns the handle of that
    /// closure's session.
    pub(super) fn take_from_closure(
        &self,
        limit: Duration,
        now: Instant,
    ) -> Option<(String, Round)> {
        let mut state = self.lock();
        match &state.closure {
            Some((began, _)) if now.duration_since(*began) >= limit => {}
            _ => return None,
        }
        let round = state.round.take()?;
        let (_, handle) = state.closure.take()?;
        Some((handle, round))
    }

    fn lock(&self) -> MutexGuard<'_, BenchState> {
        self.state.lock()
    }
}

/// A running turn.
pub(super) struct Running {
    pub(super) id: TurnId,
    pub(super) began: Instant,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Loads,
    Writes {
        /// The sessions of the turn's updates, which are busy until it ends.
        sessions: Vec<Uuid>,
        /// The sessions of the turn's touches.
        touched: Vec<Uuid>,
        /// The tokens that the turn withdraws. If it gets stuck, this is tried again.
        withdrawals: Vec<Withdrawal>,
        bench: Arc<Bench>,
    },
}
