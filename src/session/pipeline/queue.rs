//! The bounded queue between requests and workers.
//!
//! A worker takes a turn: whatever has queued up of one kind, loads or writes, at most
//! `max_batch`. While it updates a session, further updates of that session wait for it, so that
//! they are applied together in its next turn instead of refusing each other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::job::{CreateJob, DeleteJob, LoadJob, RotateJob, UpdateJob, WriteJob};
use crate::session::SessionError;
use crate::store::{SessionRecord, TouchSession};

/// How much is taken in, and how it is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most jobs that wait at a time, and most sessions whose touches do.
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
    /// Sessions that a worker is updating, and the updates that wait for it.
    busy: HashMap<Uuid, Vec<UpdateJob>>,
    /// How many wait in `busy`.
    parked: usize,
    /// Turns of writes under way.
    writers: usize,
    /// Workers that wait for work.
    idle: usize,
    closed: bool,
}

/// What a worker is to do next.
pub(super) enum Turn {
    Loads(Vec<LoadJob>),
    Writes(WriteTurn),
}

/// Writes to be made together.
#[derive(Default)]
pub(super) struct WriteTurn {
    pub(super) creates: Vec<CreateJob>,
    pub(super) updates: Vec<UpdateJob>,
    pub(super) rotations: Vec<RotateJob>,
    pub(super) deletes: Vec<DeleteJob>,
    pub(super) touches: Vec<TouchSession>,
    /// The sessions of `updates`: busy until [`Queue::release`].
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
        self.push(|state| state.loads.push_back(job))
    }

    pub(super) fn push_write(&self, job: WriteJob) -> Result<(), SessionError> {
        self.push(|state| match job {
            WriteJob::Update(update) => state.push_update(update),
            other => state.writes.push_back(other),
        })
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
        self.wake(state);
    }

    fn push(&self, push: impl FnOnce(&mut State)) -> Result<(), SessionError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SessionError::Aborted);
        }
        if state.loads.len() + state.writes.len() + state.parked >= self.limits.waiting {
            return Err(SessionError::Overloaded);
        }
        push(&mut state);
        self.wake(state);
        Ok(())
    }

    /// Waits for work. `None` when the queue was closed and all of it is done.
    pub(super) fn next(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            if let Some(turn) = state.take(self.limits) {
                // What is left is for another worker.
                self.wake(state);
                return Some(turn);
            }
            if state.is_finished() {
                self.work.notify_all();
                return None;
            }
            state.idle += 1;
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Ends a turn of writes. Updates that waited for its sessions go first now; they may start
    /// from what the turn committed.
    pub(super) fn release(&self, sessions: &[Uuid], mut committed: HashMap<Uuid, SessionRecord>) {
        let mut state = self.lock();
        state.writers -= 1;
        for id in sessions {
            let mut waiting = state.busy.remove(id).unwrap_or_default();
            state.parked -= waiting.len();
            if let (Some(first), Some(newest)) = (waiting.first_mut(), committed.remove(id)) {
                first.work.session = newest;
            }
            for job in waiting.into_iter().rev() {
                state.writes.push_front(WriteJob::Update(job));
            }
        }
        self.wake(state);
    }

    /// Takes nothing in any more; what is there will be done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Wakes one worker if one waits and there is something for it. Waking costs a system call,
    /// so nobody is woken in vain.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let is_wanted = state.idle > 0 && state.has_work(self.limits);
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

    fn can_write(&self, limits: Limits) -> bool {
        self.writers < limits.writers && !(self.writes.is_empty() && self.touches.is_empty())
    }

    fn has_work(&self, limits: Limits) -> bool {
        self.closed || !self.loads.is_empty() || self.can_write(limits)
    }

    fn is_finished(&self) -> bool {
        self.closed
            && self.loads.is_empty()
            && self.writes.is_empty()
            && self.touches.is_empty()
            && self.busy.is_empty()
    }

    /// The next turn: of the two kinds, the one whose oldest job has waited longest. Touches are
    /// in no hurry.
    fn take(&mut self, limits: Limits) -> Option<Turn> {
        let load = self.loads.front().map(|job| job.deadline);
        if self.can_write(limits) {
            let write = self.writes.front().map(WriteJob::deadline);
            let is_older = match (write, load) {
                (Some(write), Some(load)) => write <= load,
                (_, load) => load.is_none(),
            };
            if is_older {
                let turn = self.take_writes(limits.batch);
                if turn.len() > 0 || !turn.touches.is_empty() {
                    self.writers += 1;
                    return Some(Turn::Writes(turn));
                }
            }
        }
        load?;
        let count = self.loads.len().min(limits.batch);
        Some(Turn::Loads(self.loads.drain(..count).collect()))
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
        turn
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, TimeDelta, Utc};

    use super::super::job::{Answer, Change, Job, Update};
    use super::*;
    use crate::store::{NewSession, TokenHash};

    fn queue(waiting: usize, batch: usize, writers: usize) -> Queue {
        Queue::new(Limits {
            waiting,
            batch,
            writers,
        })
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn load() -> LoadJob {
        Job::new(Uuid::now_v7(), later()).0
    }

    fn record(session_id: Uuid) -> SessionRecord {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        NewSession {
            id: "handle".into(),
            session_id,
            token_hash: TokenHash::from_bytes([0; 32]),
            user_id: None,
            data: "0".into(),
            expires_at: now,
            absolute_expires_at: now,
            user_agent: None,
            ip: None,
            now,
        }
        .into_record()
    }

    fn update(session_id: Uuid) -> (WriteJob, Answer<Option<SessionRecord>>) {
        let work = Update {
            session: record(session_id),
            now: DateTime::UNIX_EPOCH,
            apply: Box::new(|_| Ok(Change::Unchanged)),
        };
        let (job, answer) = Job::new(work, later());
        (WriteJob::Update(job), answer)
    }

    fn touch(session_id: Uuid, seconds: i64, ip: Option<&str>) -> TouchSession {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        TouchSession {
            session_id,
            now,
            expires_at: now,
            user_agent: None,
            ip: ip.map(str::to_owned),
        }
    }

    fn writes(queue: &Queue) -> WriteTurn {
        match queue.next() {
            Some(Turn::Writes(turn)) => turn,
            _ => panic!("no writes"),
        }
    }

    #[test]
    fn a_full_queue_takes_in_nothing_and_a_closed_one_is_finished_first() {
        let queue = queue(2, 10, 1);
        assert!(queue.push_load(load()).is_ok() && queue.push_load(load()).is_ok());
        let refused = queue.push_load(load());
        assert!(matches!(refused, Err(SessionError::Overloaded)));
        queue.close();
        assert!(matches!(
            queue.push_load(load()),
            Err(SessionError::Aborted)
        ));
        assert!(matches!(queue.next(), Some(Turn::Loads(jobs)) if jobs.len() == 2));
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_turn_takes_all_of_the_older_kind_up_to_the_batch() {
        let queue = queue(100, 3, 1);
        let mut answers = Vec::new();
        for _ in 0..4 {
            queue.push_load(load()).unwrap();
        }
        for _ in 0..2 {
            let (job, answer) = update(Uuid::now_v7());
            queue.push_write(job).unwrap();
            answers.push(answer);
        }
        assert!(matches!(queue.next(), Some(Turn::Loads(jobs)) if jobs.len() == 3));
        assert!(matches!(queue.next(), Some(Turn::Loads(jobs)) if jobs.len() == 1));
        assert_eq!(writes(&queue).updates.len(), 2);
    }

    #[test]
    fn i1_updates_of_a_busy_session_wait_and_start_from_what_was_committed() {
        let queue = queue(100, 10, 2);
        let (hot, other) = (Uuid::now_v7(), Uuid::now_v7());
        let mut answers = Vec::new();
        let mut push = |id| {
            let (job, answer) = update(id);
            queue.push_write(job).unwrap();
            answers.push(answer);
        };
        push(hot);
        push(hot);
        let first = writes(&queue);
        assert_eq!(
            (first.updates.len(), first.sessions.as_slice()),
            (2, &[hot][..])
        );
        push(hot);
        push(other);
        push(hot);
        // Another worker gets the other session alone.
        let second = writes(&queue);
        assert_eq!(second.sessions, [other]);
        queue.release(&second.sessions, HashMap::new());
        let mut committed = record(hot);
        committed.version = 7;
        queue.release(&first.sessions, HashMap::from([(hot, committed)]));
        let third = writes(&queue);
        assert_eq!(third.updates.len(), 2);
        assert_eq!(third.updates[0].work.session.version, 7);
    }

    #[test]
    fn what_a_turn_could_not_take_of_a_session_waits_for_it() {
        let queue = queue(100, 2, 2);
        let hot = Uuid::now_v7();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (job, answer) = update(hot);
            queue.push_write(job).unwrap();
            answers.push(answer);
        }
        let first = writes(&queue);
        assert_eq!(first.updates.len(), 2);
        queue.push_load(load()).unwrap();
        assert!(matches!(queue.next(), Some(Turn::Loads(_))));
        queue.release(&first.sessions, HashMap::new());
        assert_eq!(writes(&queue).updates.len(), 1);
    }

    #[test]
    fn one_writer_leaves_the_loads_to_others() {
        let queue = queue(100, 1, 1);
        let (one, _one) = update(Uuid::now_v7());
        let (other, _other) = update(Uuid::now_v7());
        queue.push_write(one).unwrap();
        queue.push_write(other).unwrap();
        queue.push_load(load()).unwrap();
        let turn = writes(&queue);
        assert!(matches!(queue.next(), Some(Turn::Loads(_))));
        queue.release(&turn.sessions, HashMap::new());
        assert_eq!(writes(&queue).updates.len(), 1);
    }

    #[test]
    fn touches_of_a_session_are_merged_and_bounded() {
        let queue = queue(2, 10, 1);
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        queue.push_touch(touch(one, 2, Some("b")));
        queue.push_touch(touch(one, 1, Some("a")));
        queue.push_touch(touch(one, 3, None));
        queue.push_touch(touch(other, 1, None));
        queue.push_touch(touch(Uuid::now_v7(), 1, None));
        let mut touches = writes(&queue).touches;
        touches.sort_by_key(|touch| touch.session_id);
        assert_eq!(touches.len(), 2);
        assert_eq!(touches[0].now.timestamp(), 3);
        assert_eq!(touches[0].ip.as_deref(), Some("b"));
    }
}
