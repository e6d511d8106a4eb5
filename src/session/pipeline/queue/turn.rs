//! Turns: what a worker has taken to do at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::session::pipeline::job::LoadJob;
use crate::session::pipeline::round::{Round, WriteTurn};
use crate::session::pipeline::update::SessionUpdates;
use crate::store::Withdrawal;

/// Identifies a turn among those under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session::pipeline) struct TurnId(pub(super) u64);

/// What a worker is to do next. Each turn ends with
/// [`Queue::end`](super::Queue::end).
pub(in crate::session::pipeline) enum Turn {
    Loads(Vec<LoadJob>, TurnId),
    Writes(WriteTurn, TurnId, Arc<Bench>),
}

/// Where a round of writes lies while a closure of one of its updates runs. A closure that does not
/// come back keeps its own session only: all else is taken away and given to another worker.
#[derive(Default)]
pub(in crate::session::pipeline) struct Bench {
    state: Mutex<BenchState>,
}

#[derive(Default)]
struct BenchState {
    /// `None` while nothing lies there, and for good once it was taken away.
    round: Option<Round>,
    /// Since when a closure runs, and the public handle of its session.
    closure: Option<(Instant, String)>,
}

impl Bench {
    pub(in crate::session::pipeline) fn put(&self, round: Round) {
        self.lock().round = Some(round);
    }

    /// Takes the updates of the next session whose closures are to run; `None` if none is left, or
    /// all was taken away.
    pub(in crate::session::pipeline) fn begin(&self) -> Option<SessionUpdates> {
        let mut state = self.lock();
        let updates = state.round.as_mut()?.updates.pop()?;
        state.closure = Some((Instant::now(), updates.handle().to_owned()));
        Some(updates)
    }

    /// Ends what [`begin`](Self::begin) began, and puts away what came of it. Gives it back if all
    /// else was taken away in the meantime.
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

    /// Takes all that lies there.
    pub(in crate::session::pipeline) fn take(&self) -> Round {
        self.lock().round.take().unwrap_or_default()
    }

    /// Takes all that lies there if a closure has run for `limit`; also returns the public handle
    /// of that closure's session.
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

/// A turn that is under way.
pub(super) struct Running {
    pub(super) id: TurnId,
    pub(super) began: Instant,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Loads,
    Writes {
        /// The sessions of its updates, which are busy until it ends.
        sessions: Vec<Uuid>,
        /// The sessions of its touches.
        touched: Vec<Uuid>,
        /// The tokens that it takes back: again, if it is stuck.
        withdrawals: Vec<Withdrawal>,
        bench: Arc<Bench>,
    },
}
