//! The bounded queue between requests and workers.
//!
//! A worker takes a turn: whatever has queued up of one kind, loads or writes, at most
//! `max_batch`. One turn of a kind at a time makes the largest batches, which cost the least; so a
//! second one begins only when a whole batch waits, or when the first takes long.
//!
//! While a session is being updated, further updates of it wait, so that they are applied
//! together in its next turn instead of refusing each other.

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::job::{CreateJob, DeleteJob, LoadJob, RotateJob, UpdateJob, WriteJob};
use crate::session::SessionError;
use crate::store::{SessionRecord, TouchSession};

/// A turn that has taken this long keeps no other from beginning: the database is slow, far away
/// or stuck, or a closure is.
const LONG: Duration = Duration::from_millis(5);

/// Touches wait for loads no longer than this.
const TOUCH_WAIT: Duration = Duration::from_millis(100);

/// How much is taken in, and how it is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most loads that wait at a time, most writes, and most sessions whose touches do.
    pub(super) waiting: usize,
    /// Most jobs of one turn.
    pub(super) batch: usize,
    /// Most turns of writes at a time.
    pub(super) writers: usize,
}

pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// There is something to do for a worker, or the queue was closed.
    work: Condvar,
}

#[derive(Default)]
struct State {
    loads: VecDeque<LoadJob>,
    writes: VecDeque<WriteJob>,
    touches: HashMap<Uuid, TouchSession>,
    /// When the first of the touches came.
    touched_at: Option<Instant>,
    /// Sessions that a worker is updating, and the updates that wait for it.
    busy: HashMap<Uuid, Vec<UpdateJob>>,
    /// How many wait in `busy`.
    parked: usize,
    /// When the turns that are under way began.
    loading: Vec<Instant>,
    writing: Vec<Instant>,
    /// Workers that wait for work.
    idle: usize,
    /// Whether one of them looks again when a turn has taken long.
    is_watched: bool,
    closed: bool,
}

/// What a worker is to do next. Each turn ends with [`Queue::end_loads`] or [`Queue::end_writes`].
pub(super) enum Turn {
    Loads(Vec<LoadJob>, Instant),
    Writes(WriteTurn, Instant),
}

/// Writes to be made together.
#[derive(Default)]
pub(super) struct WriteTurn {
    pub(super) creates: Vec<CreateJob>,
    pub(super) updates: Vec<UpdateJob>,
    pub(super) rotations: Vec<RotateJob>,
    pub(super) deletes: Vec<DeleteJob>,
    pub(super) touches: Vec<TouchSession>,
    /// The sessions of `updates`: busy until the turn ends.
    pub(super) sessions: Vec<Uuid>,
}

impl WriteTurn {
    fn len(&self) -> usize {
        self.creates.len() + self.updates.len() + self.rotations.len() + self.deletes.len()
    }
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    pub(super) fn push_load(&self, job: LoadJob) -> Result<(), SessionError> {
        let state = self.open(|state| state.loads.len())?;
        self.push(state, |state| state.loads.push_back(job));
        Ok(())
    }

    pub(super) fn push_write(&self, job: WriteJob) -> Result<(), SessionError> {
        let state = self.open(|state| state.writes.len() + state.parked)?;
        self.push(state, |state| match job {
            WriteJob::Update(update) => state.push_update(update),
            other => state.writes.push_back(other),
        });
        Ok(())
    }

    /// Takes in activity, or leaves it out when there is too much of it: the session's next
    /// request brings it again.
    pub(super) fn push_touch(&self, touch: TouchSession) {
        let mut state = self.lock();
        let is_full = state.touches.len() >= self.limits.waiting;
        match state.touches.entry(touch.session_id) {
            Entry::Occupied(mut entry) => merge(entry.get_mut(), touch),
            Entry::Vacant(_) if is_full => return,
            Entry::Vacant(entry) => {
                entry.insert(touch);
            }
        }
        state.touched_at.get_or_insert_with(Instant::now);
        self.wake(state);
    }

    /// The state, if it takes in one more job of a kind of which so many wait.
    fn open(
        &self,
        waiting: impl FnOnce(&State) -> usize,
    ) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.lock();
        if state.closed {
            return Err(SessionError::Aborted);
        }
        if waiting(&state) >= self.limits.waiting {
            return Err(SessionError::Overloaded);
        }
        Ok(state)
    }

    fn push(&self, mut state: MutexGuard<'_, State>, push: impl FnOnce(&mut State)) {
        push(&mut state);
        self.wake(state);
    }

    /// Waits for work. `None` when the queue was closed and all of it is done.
    pub(super) fn next(&self) -> Option<Turn> {
        step_back();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(turn) = state.take(self.limits, now) {
                // What is left is for another worker.
                self.wake(state);
                return Some(turn);
            }
            if state.is_finished() {
                self.work.notify_all();
                return None;
            }
            state.idle += 1;
            state = if state.has_waiting() && !state.is_watched {
                state.is_watched = true;
                let wait = self.work.wait_timeout(state, LONG);
                let mut state = wait.unwrap_or_else(PoisonError::into_inner).0;
                state.is_watched = false;
                state
            } else {
                self.work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            };
            state.idle -= 1;
            drop(state);
            step_back();
            state = self.lock();
        }
    }

    pub(super) fn end_loads(&self, began: Instant) {
        let mut state = self.lock();
        remove(&mut state.loading, began);
        self.wake(state);
    }

    /// Ends a turn of writes. Updates that waited for its sessions go first now; they may start
    /// from what the turn committed.
    pub(super) fn end_writes(
        &self,
        began: Instant,
        sessions: &[Uuid],
        mut committed: HashMap<Uuid, SessionRecord>,
    ) {
        let mut state = self.lock();
        remove(&mut state.writing, began);
        for id in sessions {
            let mut waiting = state.busy.remove(id).unwrap_or_default();
            state.parked -= waiting.len();
            if let (Some(first), Some(newest)) = (waiting.first_mut(), committed.remove(id))
                && newest.version > first.work.session.version
            {
                first.work.session = newest;
            }
            for job in waiting.into_iter().rev() {
                state.writes.push_front(WriteJob::Update(job));
            }
        }
        self.wake(state);
    }

    /// How many loads wait, and how many writes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.loads.len(), state.writes.len() + state.parked)
    }

    /// Takes nothing in any more; what is there will be done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Wakes one worker if one waits and is wanted: to work, or to watch turns that may take long.
    /// Waking costs a system call, so nobody is woken in vain.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let is_wanted = state.idle > 0
            && (state.closed
                || state.has_waiting() && !state.is_watched
                || state.has_work(self.limits, Instant::now()));
        drop(state);
        if is_wanted {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push_update(&mut self, job: UpdateJob) {
        match self.busy.get_mut(&job.work.session.session_id) {
            Some(waiting) => {
                waiting.push(job);
                self.parked += 1;
            }
            None => self.writes.push_back(WriteJob::Update(job)),
        }
    }

    fn can_load(&self, limits: Limits, now: Instant) -> bool {
        !self.loads.is_empty()
            && (self.loads.len() >= limits.batch || is_none_recent(&self.loading, now))
    }

    fn can_write(&self, limits: Limits, now: Instant) -> bool {
        !(self.writes.is_empty() && self.touches.is_empty())
            && self.writing.len() < limits.writers
            && (self.writes.len() >= limits.batch || is_none_recent(&self.writing, now))
    }

    fn has_work(&self, limits: Limits, now: Instant) -> bool {
        self.can_load(limits, now) || self.can_write(limits, now)
    }

    fn has_waiting(&self) -> bool {
        !(self.loads.is_empty() && self.writes.is_empty() && self.touches.is_empty())
    }

    fn is_finished(&self) -> bool {
        self.closed && !self.has_waiting() && self.busy.is_empty()
    }

    /// The next turn: of the two kinds, the one whose oldest job has waited longest. Touches are
    /// in little hurry.
    fn take(&mut self, limits: Limits, now: Instant) -> Option<Turn> {
        let can_load = self.can_load(limits, now);
        if self.can_write(limits, now) {
            let load = self.loads.front().map(|job| job.deadline);
            let write = self.writes.front().map(WriteJob::deadline);
            let is_older = write.is_some_and(|write| load.is_none_or(|load| write <= load));
            let are_touches_due = self
                .touched_at
                .is_some_and(|touched| now.duration_since(touched) >= TOUCH_WAIT);
            if is_older || are_touches_due || !can_load {
                let turn = self.take_writes(limits.batch);
                if turn.len() > 0 || !turn.touches.is_empty() {
                    self.writing.push(now);
                    return Some(Turn::Writes(turn, now));
                }
            }
        }
        if !can_load {
            return None;
        }
        self.loading.push(now);
        let count = self.loads.len().min(limits.batch);
        Some(Turn::Loads(self.loads.drain(..count).collect(), now))
    }

    fn take_writes(&mut self, max_batch: usize) -> WriteTurn {
        let mut turn = WriteTurn::default();
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
                            turn.sessions.push(id);
                            turn.updates.push(job);
                        }
                        Entry::Occupied(_) if turn.sessions.contains(&id) => turn.updates.push(job),
                        // Left over from a turn that could not take all of the session's updates.
                        Entry::Occupied(mut entry) => {
                            entry.get_mut().push(job);
                            self.parked += 1;
                        }
                    }
                }
            }
        }
        let touched: Vec<Uuid> = self.touches.keys().take(max_batch).copied().collect();
        turn.touches
            .extend(touched.iter().filter_map(|id| self.touches.remove(id)));
        if self.touches.is_empty() {
            self.touched_at = None;
        }
        turn
    }
}

/// Lets other threads of the machine run first, if any can: where all cores are busy, more jobs
/// are there afterwards, for one statement. Where one is free, it returns at once.
fn step_back() {
    std::thread::yield_now();
}

/// Whether no turn began so lately that the next one had better wait for its end.
fn is_none_recent(turns: &[Instant], now: Instant) -> bool {
    turns.iter().all(|began| now.duration_since(*began) >= LONG)
}

fn remove(turns: &mut Vec<Instant>, began: Instant) {
    if let Some(place) = turns.iter().position(|turn| *turn == began) {
        turns.swap_remove(place);
    }
}

/// Two touches of one session are as good as one: the later times count.
fn merge(kept: &mut TouchSession, touch: TouchSession) {
    kept.expires_at = kept.expires_at.max(touch.expires_at);
    if touch.now >= kept.now {
        kept.now = touch.now;
        kept.user_agent = touch.user_agent.or(kept.user_agent.take());
        kept.ip = touch.ip.or(kept.ip.take());
    }
}
