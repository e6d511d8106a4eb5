//! A turn of writes in its forms: as it comes from the queue, in each of its rounds, and as one
//! call of the store.

use std::time::Instant;

use crate::session::error::SessionError;
use crate::session::pipeline::job::{
    CreateJob, DeleteJob, RotateJob, UpdateJob, fail_all, without_late,
};
use crate::session::pipeline::untold::Undo;
use crate::session::pipeline::worker::batch::Batch;
use crate::session::pipeline::worker::update::{Plan, SessionUpdates, fail_updates};
use crate::store::{NewSession, SaveSession, TouchSession};

/// Writes that are taken from the queue together.
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
    pub(in crate::session::pipeline) fn len(&self) -> usize {
        self.creates.len()
            + self.updates.len()
            + self.rotations.len()
            + self.deletes.len()
            + self.undos.len()
    }

    pub(in crate::session::pipeline) fn is_empty(&self) -> bool {
        self.len() == 0 && self.touches.is_empty()
    }
}

/// The rest of a turn of writes. The turn takes another round whenever another process has changed
/// one of its sessions first.
#[derive(Default)]
pub(in crate::session::pipeline) struct Round {
    pub(in crate::session::pipeline) creates: Vec<CreateJob>,
    pub(in crate::session::pipeline) rotations: Vec<RotateJob>,
    pub(in crate::session::pipeline) deletes: Vec<DeleteJob>,
    pub(in crate::session::pipeline) touches: Vec<TouchSession>,
    pub(in crate::session::pipeline) undos: Vec<Undo>,
    /// Sessions whose closures have yet to run.
    pub(in crate::session::pipeline) updates: Vec<SessionUpdates>,
    /// Sessions whose new data has yet to be written.
    pub(in crate::session::pipeline) saves: Vec<(SessionUpdates, SaveSession)>,
    /// Sessions whose rows have yet to be loaded again.
    pub(in crate::session::pipeline) stale: Vec<SessionUpdates>,
}

impl Round {
    /// Returns the first round of a turn, without the jobs whose callers have stopped waiting.
    pub(in crate::session::pipeline) fn first(turn: WriteTurn, now: Instant) -> Self {
        Self {
            creates: without_late(turn.creates, now),
            rotations: without_late(turn.rotations, now),
            deletes: without_late(turn.deletes, now),
            touches: turn.touches,
            undos: turn.undos,
            updates: SessionUpdates::by_session(turn.updates),
            ..Self::default()
        }
    }

    /// Returns when the first caller stops waiting.
    pub(in crate::session::pipeline) fn deadline(&self) -> Option<Instant> {
        let creates = self.creates.iter().map(|job| job.deadline);
        let rotations = self.rotations.iter().map(|job| job.deadline);
        let deletes = self.deletes.iter().map(|job| job.deadline);
        let updates = self.updates.iter().filter_map(SessionUpdates::deadline);
        creates.chain(rotations).chain(deletes).chain(updates).min()
    }

    /// Sorts in the updates of a session whose closures have run, according to their plan.
    pub(in crate::session::pipeline) fn place(&mut self, (updates, plan): (SessionUpdates, Plan)) {
        match plan {
            Plan::Save(save) => self.saves.push((updates, save)),
            Plan::Verify => self.stale.push(updates),
            Plan::Done => {}
        }
    }

    /// Takes out the writes for one call of the store. Touches are not tried after `touch_until`.
    pub(in crate::session::pipeline) fn take_writes(&mut self, touch_until: Instant) -> Writes {
        Writes {
            creates: std::mem::take(&mut self.creates),
            saves: std::mem::take(&mut self.saves),
            touches: std::mem::take(&mut self.touches),
            touch_until,
        }
    }

    /// Takes out the updates of all sessions.
    pub(in crate::session::pipeline) fn take_updates(&mut self) -> Vec<SessionUpdates> {
        let mut updates = std::mem::take(&mut self.updates);
        let saves = std::mem::take(&mut self.saves).into_iter();
        updates.extend(saves.map(|(updates, _)| updates));
        updates.append(&mut self.stale);
        updates
    }
}

/// The writes of one call of the store.
pub(in crate::session::pipeline) struct Writes {
    pub(in crate::session::pipeline) creates: Vec<CreateJob>,
    pub(in crate::session::pipeline) saves: Vec<(SessionUpdates, SaveSession)>,
    pub(in crate::session::pipeline) touches: Vec<TouchSession>,
    /// When touches are no longer tried. No caller waits for them, and the session's next request
    /// touches it again.
    touch_until: Instant,
}

/// The values of [`Writes`] in the form that the store takes.
pub(in crate::session::pipeline) struct Values {
    pub(in crate::session::pipeline) creates: Vec<NewSession>,
    pub(in crate::session::pipeline) saves: Vec<SaveSession>,
}

impl Writes {
    /// Returns the values to write. The handles and the data of saves are moved out; [`put_back`](Self::put_back)
    /// returns them.
    pub(in crate::session::pipeline) fn values(&mut self) -> Values {
        let take = |save: &mut SaveSession| SaveSession {
            id: save.id.take(),
            data: std::mem::take(&mut save.data),
            ..*save
        };
        Values {
            creates: self
                .creates
                .iter()
                .map(|job| (*job.work.new).clone())
                .collect(),
            saves: self.saves.iter_mut().map(|(_, save)| take(save)).collect(),
        }
    }

    pub(in crate::session::pipeline) fn put_back(&mut self, values: Values) {
        for ((_, save), value) in self.saves.iter_mut().zip(values.saves) {
            (save.id, save.data) = (value.id, value.data);
        }
    }

    /// Returns whether a caller waits for any of the writes.
    pub(in crate::session::pipeline) fn is_awaited(&self) -> bool {
        !(self.creates.is_empty() && self.saves.is_empty())
    }

    /// Drops the writes for which no one waits any more.
    pub(in crate::session::pipeline) fn in_time(mut self, now: Instant) -> Self {
        if now >= self.touch_until {
            self.touches.clear();
        }
        self.creates = without_late(self.creates, now);
        let is_late = |(updates, _): &mut (SessionUpdates, _)| updates.is_late(now);
        let late = self.saves.extract_if(.., is_late);
        fail_updates(late.map(|(updates, _)| updates), &SessionError::Timeout);
        self
    }

    /// Answers all jobs with an error.
    pub(in crate::session::pipeline) fn fail(self, error: &SessionError) {
        fail_all(self.creates, error);
        let saves = self.saves.into_iter();
        fail_updates(saves.map(|(updates, _)| updates), error);
    }
}

impl Batch for Writes {
    fn len(&self) -> usize {
        self.creates.len() + self.saves.len() + self.touches.len()
    }

    /// Splits across the kinds, so that two items of different kinds are separated too.
    fn halves(mut self) -> (Self, Self) {
        let mut left = self.len() / 2;
        let mut take = |len: usize| {
            let taken = len.min(left);
            left -= taken;
            taken
        };
        let (creates, saves) = (take(self.creates.len()), take(self.saves.len()));
        let touches = take(self.touches.len());
        let first = Self {
            creates: self.creates.drain(..creates).collect(),
            saves: self.saves.drain(..saves).collect(),
            touches: self.touches.drain(..touches).collect(),
            touch_until: self.touch_until,
        };
        (first, self)
    }
}
