//! The bounded queue between requests and workers.
//!
//! A worker takes a turn: all queued jobs of one kind, loads or writes, up to `max_batch`. One turn
//! per kind at a time makes the largest batches, which cost the least. A second turn therefore
//! starts only if a whole batch is waiting, or if the first takes long.
//!
//! While a session is being updated, further updates of it wait. They are then applied together in
//! its next turn, instead of conflicting with each other. A job whose row another transaction has
//! locked is put off for a moment, so that no worker waits for the row.

mod activity;
mod crowd;
mod state;
#[cfg(test)]
mod tests;
mod turn;
mod undos;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

use self::crowd::Crowd;
use self::state::State;
use super::job::{LoadJob, Moment, WriteJob};
use super::untold::{Ledger, Undo};
use crate::session::error::SessionError;
use crate::store::{SessionRecord, TouchSession, Withdrawal};

pub(super) use self::activity::Seen;
pub(super) use self::turn::{Bench, Turn, TurnId};

/// A turn that has taken this long no longer prevents another from starting: the database is slow,
/// far away or stuck, or a closure is.
const LONG: Duration = Duration::from_millis(5);

/// Time for which a worker without work stays awake.
const LINGER: Duration = Duration::from_micros(100);

/// A closure that runs longer keeps its worker to itself from then on.
const LONGEST_CLOSURE: Duration = Duration::from_millis(100);

/// Time after which a job whose row is locked is tried again.
const HELD_RETRY: Duration = Duration::from_millis(30);

/// Maximum number of undos that are kept while the database fails.
const MAX_UNDOS: usize = 100_000;

/// The limits of what the queue accepts and hands out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Maximum number of waiting loads, of waiting writes, and of sessions with waiting touches.
    pub(super) waiting: usize,
    /// Maximum number of jobs in one turn.
    pub(super) batch: usize,
    /// Maximum number of concurrent turns of writes.
    pub(super) writers: usize,
    /// The time that callers wait.
    pub(super) timeout: Duration,
    /// A turn that takes longer is stuck in the store.
    pub(super) patience: Duration,
    /// Whether the clock that callers read advances by itself.
    pub(super) is_clock_real: bool,
}

pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    crowd: Crowd,
    /// Changes with each job.
    news: AtomicUsize,
}

/// A stuck turn that was taken from its worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    Load,
    Write,
    /// Contains the handle of the session whose closure does not return.
    Closure(String),
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            crowd: Crowd::default(),
            news: AtomicUsize::new(0),
        }
    }

    /// Queues a load. Also returns the session's touches that are not yet written.
    pub(super) fn push_load(&self, job: LoadJob) -> Result<Option<Seen>, SessionError> {
        let state = self.open(|state| state.loads.len())?;
        let seen = state.touches.seen(&job.work.session_id);
        self.push(state, |state| state.loads.push_back(job));
        Ok(seen)
    }

    pub(super) fn push_write(&self, job: WriteJob) -> Result<(), SessionError> {
        let state = self.open(State::waiting_writes)?;
        self.push(state, |state| state.push_write(job));
        Ok(())
    }

    /// Queues a touch of a session that expires at `alive_until` without it. If too many touches
    /// are waiting it is dropped, and the session's next request brings another.
    pub(super) fn push_touch(&self, touch: TouchSession, alive_until: DateTime<Utc>) {
        let came = self.moment(touch.now);
        let mut state = self.lock();
        let most = self.limits.waiting;
        state.touches.push(touch, alive_until, came, most);
        self.wake(state);
    }

    /// Remembers an undo whose token has been replaced.
    pub(super) fn supersede(&self, withdrawal: Withdrawal) {
        self.lock().supersede(withdrawal);
    }

    /// Records that a token is valid again. If its undo was superseded, it is queued now.
    pub(super) fn restored(&self, token: &Uuid) {
        let mut state = self.lock();
        state.restored(token);
        self.wake(state);
    }

    /// Puts off an undo that has to be tried again.
    pub(super) fn put_off_undo(&self, undo: Undo, wait: Duration) {
        let mut state = self.lock();
        if state.undos.len() >= MAX_UNDOS {
            drop(state);
            let id = undo.withdrawal.id;
            tracing::error!(
                "the new token of session {id}, which its visitor did not receive, could not be withdrawn"
            );
            return;
        }
        state.undos.push((Instant::now() + wait, undo));
        self.wake(state);
    }

    /// Returns the moment at which a caller read the clock.
    pub(super) fn moment(&self, now: DateTime<Utc>) -> Moment {
        Moment::new(now, self.limits.is_clock_real)
    }

    /// Puts off jobs whose rows another transaction has locked.
    pub(super) fn put_off(&self, jobs: impl IntoIterator<Item = WriteJob>) {
        let mut state = self.lock();
        let due = Instant::now() + HELD_RETRY;
        let jobs = jobs.into_iter().map(|job| (due, job));
        state.deferred.extend(jobs);
    }

    /// Locks the queue for one more job. Fails if the queue is closed, or if `waiting` jobs reach
    /// the limit.
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

    /// Waits for the next turn. Returns `None` once the queue is closed and all work is done.
    pub(super) fn next(&self) -> Option<Turn> {
        self.step_back();
        let mut state = self.lock();
        let mut has_lingered = false;
        loop {
            let now = Instant::now();
            if let Some(turn) = state.take(self.limits, now) {
                self.crowd.took(turn.len());
                // The rest is for another worker.
                self.wake(state);
                return Some(turn);
            }
            if state.is_finished() {
                state.wake_all();
                return None;
            }
            if !has_lingered && !state.is_lingering && self.crowd.is_small() {
                has_lingered = true;
                state.is_lingering = true;
                let known = self.news.load(Ordering::Relaxed);
                drop(state);
                self.linger(known);
                state = self.lock();
                state.is_lingering = false;
                continue;
            }
            let bell = Arc::<Condvar>::default();
            state.idle.push(Arc::clone(&bell));
            if state.has_waiting(now) && !state.is_watched {
                state.is_watched = true;
                bell.wait_for(&mut state, LONG);
                state.is_watched = false;
            } else {
                bell.wait(&mut state);
            }
            state.idle.retain(|idle| !Arc::ptr_eq(idle, &bell));
            drop(state);
            self.step_back();
            state = self.lock();
            has_lingered = false;
        }
    }

    /// Ends a turn. Updates that waited for its sessions now go first and may start from the
    /// committed rows. Returns whether the turn still belonged to its worker. If not, another
    /// worker has replaced that one.
    pub(super) fn end(&self, id: TurnId, committed: HashMap<Uuid, Arc<SessionRecord>>) -> bool {
        let mut state = self.lock();
        let was_running = state.end(id, committed);
        self.wake(state);
        was_running
    }

    /// Takes at most `most` turns from workers that are stuck in the store or in a closure, and
    /// queues their remaining jobs for other workers. Also wakes a worker for jobs that were put
    /// off until now.
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

    /// Returns whether all writes and touches are written and all undos are done.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// Returns the activity of a session that is not yet written.
    #[cfg(feature = "testing")]
    pub(super) fn seen(&self, session_id: &Uuid) -> Option<Seen> {
        self.lock().touches.seen(session_id)
    }

    /// Returns whether all writers have been busy for longer than `limit`, so that a new write
    /// would not finish in that time.
    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.lock().is_stuck(self.limits.writers, limit)
    }

    /// Returns the numbers of waiting loads and waiting writes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.loads.len(), state.waiting_writes())
    }

    /// Closes the queue to new jobs. Jobs already queued will be done.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wake_all();
    }

    /// Wakes one idle worker if it is needed, to work or to watch turns that may take long. Waking
    /// costs a system call, so workers are woken only then. The last one to become idle is the
    /// fastest, because the caches still have what it needs.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let now = Instant::now();
        self.news.fetch_add(1, Ordering::Relaxed);
        let is_wanted = !state.idle.is_empty()
            && (state.closed
                || !state.is_lingering
                    && (state.has_waiting(now) && !state.is_watched
                        || state.has_work(self.limits, now)));
        let woken = if is_wanted { state.idle.pop() } else { None };
        drop(state);
        if let Some(bell) = woken {
            bell.notify_one();
        }
    }

    /// Stays awake for a moment, because the next job often comes soon and waking up takes longer
    /// than the job.
    fn linger(&self, known: usize) {
        let start = Instant::now();
        while self.news.load(Ordering::Relaxed) == known && start.elapsed() < LINGER {
            std::thread::yield_now();
        }
    }

    /// Returns whether jobs nearly always come one at a time.
    pub(super) fn is_quiet(&self) -> bool {
        self.crowd.is_alone()
    }

    /// Lets other threads of the machine run first if there are several jobs at a time. If all cores
    /// are busy, more jobs are queued afterwards and share a statement. If a core is free, this
    /// returns at once.
    fn step_back(&self) {
        if self.crowd.is_several() {
            std::thread::yield_now();
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
        self.lock().attempts.remove(&number).is_some()
    }

    fn end_change(&self, undo: Option<Undo>) {
        if let Some(undo) = undo {
            self.put_off_undo(undo, Duration::ZERO);
        }
        let mut state = self.lock();
        state.untold -= 1;
        if state.closed {
            // The workers may have been waiting only for this change.
            state.wake_all();
        }
    }

    fn patience(&self) -> Duration {
        self.limits.patience
    }
}
