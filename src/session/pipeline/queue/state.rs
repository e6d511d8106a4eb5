//! The queue's content and the rules by which it is handed out, without threads or waiting.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Condvar;
use uuid::Uuid;

use super::activity::Touches;
use super::turn::{Bench, Kind, Running, Turn, TurnId};
use super::undos::Attempt;
use super::{LONG, LONGEST_CLOSURE, Limits, Stuck};
use crate::session::pipeline::job::{LoadJob, UpdateJob, WriteJob};
use crate::session::pipeline::untold::Undo;
use crate::session::pipeline::worker::round::{Round, WriteTurn};
use crate::session::pipeline::worker::update::SessionUpdates;
use crate::store::{SessionRecord, Withdrawal};

/// Maximum number of undos in one turn. Each is a statement of its own.
const MAX_UNDOS: usize = 32;

/// Maximum time that touches wait while loads go first.
const TOUCH_WAIT: Duration = Duration::from_millis(100);

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct State {
    pub(super) loads: VecDeque<LoadJob>,
    pub(super) writes: VecDeque<WriteJob>,
    pub(super) touches: Touches,
    /// Jobs whose rows were locked, and when they are tried again.
    pub(super) deferred: Vec<(Instant, WriteJob)>,
    /// Tokens to withdraw, and when that is tried.
    pub(super) undos: Vec<(Instant, Undo)>,
    /// Whether the last turn of writes consisted of undos.
    has_undone: bool,
    /// Undos that came after their token had been replaced, by that token.
    pub(super) superseded: HashMap<Uuid, (Instant, Withdrawal)>,
    /// Changes of tokens in progress.
    pub(super) attempts: HashMap<u64, Attempt>,
    pub(super) next_attempt: u64,
    /// Number of changes of tokens, in progress or made, that are neither delivered nor undone.
    pub(super) untold: usize,
    /// Sessions that a worker is updating, and the updates that wait for them.
    busy: HashMap<Uuid, Vec<UpdateJob>>,
    /// Number of updates that wait in `busy`.
    parked: usize,
    running: Vec<Running>,
    turns: u64,
    /// The workers that wait for work, those that have waited longest first.
    pub(super) idle: Vec<Arc<Condvar>>,
    /// Whether one of them wakes up to check for turns that take long.
    pub(super) is_watched: bool,
    /// Whether a worker that has no work is still awake.
    pub(super) is_lingering: bool,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn waiting_writes(&self) -> usize {
        self.writes.len() + self.parked + self.deferred.len()
    }

    /// Wakes all idle workers.
    pub(super) fn wake_all(&mut self) {
        for bell in self.idle.drain(..) {
            bell.notify_one();
        }
    }

    pub(super) fn push_write(&mut self, job: WriteJob) {
        match job {
            WriteJob::Update(job) => match self.busy.get_mut(&job.work.session.session_id) {
                Some(waiting) => {
                    waiting.push(job);
                    self.parked += 1;
                }
                None => self.writes.push_back(WriteJob::Update(job)),
            },
            other => self.writes.push_back(other),
        }
    }

    fn can_load(&self, limits: Limits, now: Instant) -> bool {
        !self.loads.is_empty()
            && (self.loads.len() >= limits.batch || self.is_none_recent(now, false))
    }

    fn can_write(&self, limits: Limits, now: Instant) -> bool {
        self.has_writes(now)
            && self.of_kind(true).count() < limits.writers
            && (self.writes.len() >= limits.batch || self.is_none_recent(now, true))
    }

    pub(super) fn has_work(&self, limits: Limits, now: Instant) -> bool {
        self.can_load(limits, now) || self.can_write(limits, now)
    }

    pub(super) fn has_waiting(&self, now: Instant) -> bool {
        !self.loads.is_empty() || self.has_writes(now)
    }

    fn has_writes(&self, now: Instant) -> bool {
        !(self.writes.is_empty() && self.touches.is_empty()) || self.has_due(now)
    }

    /// Returns whether a job that was put off is due.
    pub(super) fn has_due(&self, now: Instant) -> bool {
        self.deferred.iter().any(|(due, _)| self.is_due(*due, now)) || self.has_undo(now)
    }

    /// Returns whether undos are due. They run in one turn at a time, so that locked rows do not
    /// keep other writes waiting.
    fn has_undo(&self, now: Instant) -> bool {
        let is_undoing = |turn: &Running| matches!(&turn.kind, Kind::Writes { withdrawals, .. } if !withdrawals.is_empty());
        self.undos.iter().any(|(due, _)| now >= *due) && !self.running.iter().any(is_undoing)
    }

    fn is_due(&self, due: Instant, now: Instant) -> bool {
        self.closed || now >= due
    }

    /// Returns whether all writes and touches are written and all undos are done.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting_writes() == 0
            && self.touches.is_settled()
            && self.undos.is_empty()
            && self.of_kind(true).next().is_none()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.closed
            && self.loads.is_empty()
            && self.writes.is_empty()
            && self.touches.is_settled()
            && self.deferred.is_empty()
            && self.undos.is_empty()
            && self.untold == 0
            && self.busy.is_empty()
    }

    /// Takes the next turn. Of the two kinds, the one with the oldest job goes first. Touches are
    /// less urgent.
    pub(super) fn take(&mut self, limits: Limits, now: Instant) -> Option<Turn> {
        let can_load = self.can_load(limits, now);
        if self.can_write(limits, now) {
            self.resume(now);
            let load = self.loads.front().map(|job| job.deadline);
            let write = self.writes.front().map(WriteJob::deadline);
            let is_older = write.is_some_and(|write| load.is_none_or(|load| write <= load));
            let are_touches_due = self
                .touches
                .since()
                .is_some_and(|touched| now.duration_since(touched) >= TOUCH_WAIT);
            let has_undos = self.has_undo(now);
            if is_older || are_touches_due || has_undos || !can_load {
                let (turn, sessions) = self.take_writes(limits.batch, now);
                if !turn.is_empty() {
                    let bench = Arc::<Bench>::default();
                    let touched = turn.touches.iter().map(|t| t.session_id).collect();
                    let withdrawal = |undo: &Undo| undo.withdrawal.clone();
                    let kind = Kind::Writes {
                        sessions,
                        touched,
                        withdrawals: turn.undos.iter().map(withdrawal).collect(),
                        bench: Arc::clone(&bench),
                    };
                    return Some(Turn::Writes(turn, self.begin(kind, now), bench));
                }
            }
        }
        if !can_load {
            return None;
        }
        let count = self.loads.len().min(limits.batch);
        let jobs = self.loads.drain(..count).collect();
        Some(Turn::Loads(jobs, self.begin(Kind::Loads, now)))
    }

    fn begin(&mut self, kind: Kind, began: Instant) -> TurnId {
        let id = TurnId(self.turns);
        self.turns += 1;
        self.running.push(Running { id, began, kind });
        id
    }

    /// Queues the jobs that were put off until now.
    fn resume(&mut self, now: Instant) {
        if self.deferred.is_empty() {
            return;
        }
        let is_closed = self.closed;
        let due = self
            .deferred
            .extract_if(.., |(due, _)| is_closed || now >= *due);
        let due: Vec<WriteJob> = due.map(|(_, job)| job).collect();
        for job in due {
            self.push_write(job);
        }
    }

    /// Takes out writes for a turn, and returns them with the sessions of its updates, which are
    /// busy from now on.
    fn take_writes(&mut self, max_batch: usize, now: Instant) -> (WriteTurn, Vec<Uuid>) {
        let mut turn = WriteTurn::default();
        let mut sessions = Vec::new();
        // Undos alternate with the writes of requests.
        let is_their_turn = self.writes.is_empty() || !std::mem::take(&mut self.has_undone);
        if is_their_turn && self.has_undo(now) {
            let due = self.undos.extract_if(.., |(due, _)| now >= *due);
            turn.undos = due.take(MAX_UNDOS).map(|(_, undo)| undo).collect();
            self.has_undone = true;
            return (turn, sessions);
        }
        while turn.len() < max_batch {
            match self.writes.pop_front() {
                None => break,
                Some(WriteJob::Create(job)) => turn.creates.push(job),
                Some(WriteJob::Rotate(job)) => turn.rotations.push(job),
                Some(WriteJob::Delete(job)) => turn.deletes.push(job),
                Some(WriteJob::Update(job)) => {
                    let id = job.work.session.session_id;
                    match self.busy.entry(id) {
                        Entry::Vacant(entry) => {
                            entry.insert(Vec::new());
                            sessions.push(id);
                            turn.updates.push(job);
                        }
                        Entry::Occupied(_) if sessions.contains(&id) => turn.updates.push(job),
                        // Left by a turn that could not take all updates of the session.
                        Entry::Occupied(mut entry) => {
                            entry.get_mut().push(job);
                            self.parked += 1;
                        }
                    }
                }
            }
        }
        turn.touches = self.touches.take(max_batch);
        (turn, sessions)
    }

    /// Ends a turn. Returns whether it was still running.
    pub(super) fn end(&mut self, id: TurnId, committed: HashMap<Uuid, Arc<SessionRecord>>) -> bool {
        let place = self.running.iter().position(|turn| turn.id == id);
        let Some(place) = place else { return false };
        self.release(place, committed);
        true
    }

    /// Removes a running turn. Updates that waited for its sessions now go first.
    fn release(&mut self, place: usize, mut committed: HashMap<Uuid, Arc<SessionRecord>>) {
        let turn = self.running.swap_remove(place);
        let Kind::Writes {
            sessions, touched, ..
        } = turn.kind
        else {
            return;
        };
        for id in &touched {
            self.touches.written(id);
        }
        for id in &sessions {
            let mut waiting = self.busy.remove(id).unwrap_or_default();
            self.parked -= waiting.len();
            if let (Some(first), Some(newest)) = (waiting.first_mut(), committed.remove(id))
                && newest.version > first.work.session.version
            {
                first.work.session = newest;
            }
            for job in waiting.into_iter().rev() {
                self.writes.push_front(WriteJob::Update(job));
            }
        }
    }

    /// Removes at most `most` running turns that are stuck.
    pub(super) fn take_stuck(
        &mut self,
        patience: Duration,
        now: Instant,
        most: usize,
    ) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        let mut place = 0;
        while place < self.running.len() && stuck.len() < most {
            let turn = &self.running[place];
            let closure = match &turn.kind {
                Kind::Writes { bench, .. } => bench.take_from_closure(LONGEST_CLOSURE, now),
                Kind::Loads => None,
            };
            if let Some((handle, round)) = closure {
                stuck.push(Stuck::Closure(handle));
                self.release(place, HashMap::new());
                self.put_back(round);
            } else if now.duration_since(turn.began) >= patience {
                stuck.push(match &turn.kind {
                    Kind::Loads => Stuck::Load,
                    Kind::Writes { withdrawals, .. } => {
                        let undo = |w: &Withdrawal| (now, Undo::unsure(w.clone(), patience));
                        self.undos.extend(withdrawals.iter().map(undo));
                        Stuck::Write
                    }
                });
                self.release(place, HashMap::new());
            } else {
                place += 1;
            }
        }
        stuck
    }

    /// Queues the jobs that a turn had not done when it was taken from its worker.
    fn put_back(&mut self, mut round: Round) {
        let updates = round.take_updates().into_iter();
        // Touches are dropped. A session's next request brings another.
        let now = Instant::now();
        let undos = round.undos.into_iter().map(|undo| (now, undo));
        self.undos.extend(undos);
        let creates = round.creates.into_iter().map(WriteJob::Create);
        let rotations = round.rotations.into_iter().map(WriteJob::Rotate);
        let deletes = round.deletes.into_iter().map(WriteJob::Delete);
        let updates = updates.flat_map(SessionUpdates::into_jobs);
        let updates = updates.map(WriteJob::Update);
        for job in updates.chain(creates).chain(rotations).chain(deletes) {
            self.writes.push_front(job);
        }
    }

    pub(super) fn is_stuck(&self, writers: usize, limit: Duration) -> bool {
        let long = self.of_kind(true).filter(|t| t.began.elapsed() >= limit);
        long.count() >= writers
    }

    fn of_kind(&self, writes: bool) -> impl Iterator<Item = &Running> {
        self.running
            .iter()
            .filter(move |turn| writes == matches!(turn.kind, Kind::Writes { .. }))
    }

    /// Returns whether every running turn of a kind has taken at least `LONG`, so that another may
    /// start beside it.
    fn is_none_recent(&self, now: Instant, writes: bool) -> bool {
        self.of_kind(writes)
            .all(|turn| now.duration_since(turn.began) >= LONG)
    }
}
