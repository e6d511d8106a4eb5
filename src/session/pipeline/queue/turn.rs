//! Turns: what a worker has taken to do at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::session::pipeline::job::{CreateJob, DeleteJob, LoadJob, RotateJob, UpdateJob};
use crate::session::pipeline::untold::Undo;
use crate::session::pipeline::update::Group;
use crate::store::{SaveSession, TouchSession, Withdrawal};

/// Identifies a turn among those under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session::pipeline) struct TurnId(pub(super) u64);

/// What a worker is to do next. Each turn ends with
/// [`Queue::end`](super::Queue::end).
pub(in crate::session::pipeline) enum Turn {
    Loads(Vec<LoadJob>, TurnId),
    Writes(WriteTurn, TurnId, Arc<Bench>),
}

/// Writes to be made together.
#[derive(Default)]
pub(in crate::session::pipeline) struct WriteTurn {
    pub(in crate::session::pipeline) creates: Vec<CreateJob>,
    pub(in crate::session::pipeline) updates: Vec<UpdateJob>,
    pub(in crate::session::pipeline) rotations: Vec<RotateJob>,
    pub(in crate::session::pipeline) deletes: Vec<DeleteJob>,
    pub(in crate::session::pipeline) touches: Vec<TouchSession>,
    pub(in crate::session::pipeline) undos: Vec<Undo>,
}

impl WriteTurn {
    pub(super) fn len(&self) -> usize {
        self.creates.len()
            + self.updates.len()
            + self.rotations.len()
            + self.deletes.len()
            + self.undos.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.touches.is_empty()
    }
}

/// Where the parts of a turn of writes lie while a closure of one of them runs. A closure that does
/// not come back keeps its own session only: all else is taken away and given to another worker.
#[derive(Default)]
pub(in crate::session::pipeline) struct Bench {
    state: Mutex<BenchState>,
}

#[derive(Default)]
struct BenchState {
    /// `None` while nothing lies there, and for good once it was taken away.
    parts: Option<Parts>,
    /// Since when a closure runs, and the public handle of its session.
    closure: Option<(Instant, String)>,
}

/// The parts of a turn of writes.
#[derive(Default)]
pub(in crate::session::pipeline) struct Parts {
    pub(in crate::session::pipeline) creates: Vec<CreateJob>,
    pub(in crate::session::pipeline) rotations: Vec<RotateJob>,
    pub(in crate::session::pipeline) deletes: Vec<DeleteJob>,
    pub(in crate::session::pipeline) touches: Vec<TouchSession>,
    pub(in crate::session::pipeline) undos: Vec<Undo>,
    /// Groups whose closures are still to run.
    pub(in crate::session::pipeline) waiting: Vec<Group>,
    /// Groups whose new data is to be written.
    pub(in crate::session::pipeline) saving: Vec<(Group, SaveSession)>,
    /// Groups that are to be loaded anew.
    pub(in crate::session::pipeline) stale: Vec<Group>,
}

impl Parts {
    /// Takes the groups out.
    pub(super) fn groups(self) -> (Self, Vec<Group>) {
        let mut rest = self;
        let mut groups = std::mem::take(&mut rest.waiting);
        groups.extend(std::mem::take(&mut rest.saving).into_iter().map(|s| s.0));
        groups.append(&mut rest.stale);
        (rest, groups)
    }
}

impl Bench {
    pub(in crate::session::pipeline) fn put(&self, parts: Parts) {
        self.lock().parts = Some(parts);
    }

    /// Takes the next group whose closures are to run; `None` if none is left, or all was taken
    /// away.
    pub(in crate::session::pipeline) fn begin(&self) -> Option<Group> {
        let mut state = self.lock();
        let group = state.parts.as_mut()?.waiting.pop()?;
        state.closure = Some((Instant::now(), group.handle().to_owned()));
        Some(group)
    }

    /// Ends what [`begin`](Self::begin) began, and puts away what came of it. Gives it back if all
    /// else was taken away in the meantime.
    pub(in crate::session::pipeline) fn end<T>(
        &self,
        made: T,
        put: impl FnOnce(&mut Parts, T),
    ) -> Option<T> {
        let mut state = self.lock();
        state.closure = None;
        match &mut state.parts {
            Some(parts) => {
                put(parts, made);
                None
            }
            None => Some(made),
        }
    }

    /// Takes all that lies there.
    pub(in crate::session::pipeline) fn take(&self) -> Parts {
        self.lock().parts.take().unwrap_or_default()
    }

    /// Takes all that lies there if a closure has run for `limit`; also returns the public handle
    /// of that closure's session.
    pub(super) fn take_from_closure(
        &self,
        limit: Duration,
        now: Instant,
    ) -> Option<(String, Parts)> {
        let mut state = self.lock();
        match &state.closure {
            Some((began, _)) if now.duration_since(*began) >= limit => {}
            _ => return None,
        }
        let parts = state.parts.take()?;
        let (_, handle) = state.closure.take()?;
        Some((handle, parts))
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
