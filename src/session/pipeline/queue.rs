//! The bounded queue between requests and workers.
//!
//! A worker takes a turn: whatever has queued up of one kind, loads or writes, at most
//! `max_batch`. One turn of a kind at a time makes the largest batches, which cost the least; so a
//! second one begins only when a whole batch waits, or when the first takes long.
//!
//! While a session is being updated, further updates of it wait, so that they are applied
//! together in its next turn instead of refusing each other. A job whose row another transaction
//! holds is put off for a moment, so that no worker waits for the row.

mod activity;
mod state;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

use self::state::State;
use super::job::{LoadJob, Moment, WriteJob};
use super::untold::{Ledger, Undo};
use crate::session::error::SessionError;
use crate::store::{SessionRecord, TouchSession, Withdrawal};

pub(super) use self::activity::Seen;
pub(super) use self::turn::{Bench, Turn, TurnId};

/// A turn that has taken this long keeps no other from beginning: the database is slow, far away
/// or stuck, or a closure is.
const LONG: Duration = Duration::from_millis(5);

/// A closure that runs for longer has its worker for itself from then on.
const LONGEST_CLOSURE: Duration = Duration::from_millis(100);

/// A job whose row is held is tried again after this time.
const HELD_RETRY: Duration = Duration::from_millis(30);

/// Most undos that are kept while the database fails.
const MAX_UNDOS: usize = 100_000;

/// How much is taken in, and how it is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most loads that wait at a time, most writes, and most sessions whose touches do.
    pub(super) waiting: usize,
    /// Most jobs of one turn.
    pub(super) batch: usize,
    /// Most turns of writes at a time.
    pub(super) writers: usize,
    /// How long callers wait.
    pub(super) timeout: Duration,
    /// A turn that takes longer is stuck in the store.
    pub(super) patience: Duration,
    /// Whether the clock that callers read goes on by itself.
    pub(super) is_clock_real: bool,
}

pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// There is something to do for a worker, or the queue was closed.
    work: Condvar,
}

/// A turn that was taken from its worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    Load,
    Write,
    /// With the public handle of the session whose closure does not come back.
    Closure(String),
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// Takes in a load; also returns what is known of its session's use that is still to be written.
    pub(super) fn push_load(&self, job: LoadJob) -> Result<Option<Seen>, SessionError> {
        let state = self.open(|state| state.loads.len())?;
        let seen = state.touches.seen(&job.work);
        self.push(state, |state| state.loads.push_back(job));
        Ok(seen)
    }

    pub(super) fn push_write(&self, job: WriteJob) -> Result<(), SessionError> {
        let state = self.open(State::waiting_writes)?;
        self.push(state, |state| state.push_write(job));
        Ok(())
    }

    /// Takes in activity of a session that ends at `alive_until` without it, or leaves it out when
    /// there is too much: the session's next request brings it again.
    pub(super) fn push_touch(&self, touch: TouchSession, alive_until: DateTime<Utc>) {
        let came = self.moment(touch.now);
        let mut state = self.lock();
        let most = self.limits.waiting;
        state.touches.push(touch, alive_until, came, most);
        self.wake(state);
    }

    /// Keeps an undo in mind whose token is the row's no longer.
    pub(super) fn supersede(&self, withdrawal: Withdrawal) {
        self.lock().supersede(withdrawal);
    }

    /// A token is a row's again. If it is one to be taken back, it will be.
    pub(super) fn restored(&self, token: &Uuid) {
        let mut state = self.lock();
        state.restored(token);
        self.wake(state);
    }

    /// Puts off an undo that is to be tried again.
    pub(super) fn put_off_undo(&self, undo: Undo, wait: Duration) {
        let mut state = self.lock();
        if state.undos.len() >= MAX_UNDOS {
            drop(state);
            let id = undo.withdrawal.id;
            tracing::error!("the new token of session {id}, which no one got, was not undone");
            return;
        }
        state.undos.push((Instant::now() + wait, undo));
        self.wake(state);
    }

    /// The moment in which a caller read the clock.
    pub(super) fn moment(&self, now: DateTime<Utc>) -> Moment {
        Moment::new(now, self.limits.is_clock_real)
    }

    /// Puts off jobs whose rows another transaction holds.
    pub(super) fn put_off(&self, jobs: impl IntoIterator<Item = WriteJob>) {
        let mut state = self.lock();
        let due = Instant::now() + HELD_RETRY;
        let jobs = jobs.into_iter().map(|job| (due, job));
        state.deferred.extend(jobs);
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
            if state.has_waiting(now) && !state.is_watched {
                state.is_watched = true;
                self.work.wait_for(&mut state, LONG);
                state.is_watched = false;
            } else {
                self.work.wait(&mut state);
            }
            state.idle -= 1;
            drop(state);
            step_back();
            state = self.lock();
        }
    }

    /// Ends a turn. Updates that waited for its sessions go first now; they may start from what the
    /// turn committed. Returns whether the turn was still its worker's; if not, another worker has
    /// taken the worker's place.
    pub(super) fn end(&self, id: TurnId, committed: HashMap<Uuid, SessionRecord>) -> bool {
        let mut state = self.lock();
        let was_running = state.end(id, committed);
        self.wake(state);
        was_running
    }

    /// Takes at most `most` turns from workers that are stuck, in the store or in a closure; what is
    /// still to be done of them is for other workers. Also hands out what was put off until now.
    pub(super) fn watch(&self, now: Instant, most: usize) -> Vec<Stuck> {
        let mut state = self.lock();
        state.undo_late_attempts(self.limits, now);
        let stuck = state.take_stuck(self.limits.patience, now, most);
        let is_due = state.has_due(now);
        if stuck.is_empty() && !is_due {
            return stuck;
        }
        self.wake(state);
        stuck
    }

    /// Returns whether all activity is written, and all that was to be undone is.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.lock();
        state.touches.is_settled() && state.undos.is_empty()
    }

    /// Returns whether all writers have been busy for longer than `limit`, so that a write that
    /// comes now would not be done in that time.
    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.lock().is_stuck(self.limits.writers, limit)
    }

    /// How many loads wait, and how many writes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.loads.len(), state.waiting_writes())
    }

    /// Takes nothing in any more; what is there will be done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Wakes one worker if one waits and is wanted: to work, or to watch turns that may take long.
    /// Waking costs a system call, so no worker is woken in vain.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let now = Instant::now();
        let is_wanted = state.idle > 0
            && (state.closed
                || state.has_waiting(now) && !state.is_watched
                || state.has_work(self.limits, now));
        drop(state);
        if is_wanted {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Ledger for Queue {
    fn begin_attempt(&self, withdrawal: Withdrawal) -> u64 {
        self.lock().begin_attempt(withdrawal)
    }

    fn end_attempt(&self, number: u64) -> bool {
        let mut state = self.lock();
        let was_in_time = state.attempts.remove(&number).is_some();
        if state.closed {
            // It may have been the last thing to wait for.
            self.work.notify_all();
        }
        was_in_time
    }

    fn push_undo(&self, undo: Undo) {
        self.put_off_undo(undo, Duration::ZERO);
    }

    fn patience(&self) -> Duration {
        self.limits.patience
    }
}

/// Lets other threads of the machine run first, if any can: where all cores are busy, more jobs
/// are there afterwards, for one statement. Where one is free, it returns at once.
fn step_back() {
    std::thread::yield_now();
}
