//! A worker thread: takes what has queued up and answers it with one call of the store a kind.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use uuid::Uuid;

use super::breaker::Breaker;
use super::job::{CreateJob, DeleteJob, Job, LoadJob, RotateJob};
use super::queue::{Queue, Turn, WriteTurn};
use super::update::{Group, Step, group};
use crate::session::SessionError;
use crate::session::metrics::{Call, whole};
use crate::session::monitor::Monitor;
use crate::store::{
    NewSession, RotateSession, SaveOutcome, SaveSession, SessionRecord, SessionStore, StoreError,
    TouchSession, WriteBatch, Written,
};

/// Rows as a turn left them.
type Committed = HashMap<Uuid, SessionRecord>;

pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) breaker: Arc<Breaker>,
    /// Dropped when the thread ends.
    pub(super) alive: Sender<()>,
}

impl Worker {
    /// Works until the queue is closed and empty. A panic in the store costs the turn in which it
    /// happens: its callers are told, and the worker goes on.
    pub(super) fn run(self) {
        while let Some(turn) = self.queue.next() {
            match turn {
                Turn::Loads(jobs, began) => {
                    guarded(|| self.load(jobs));
                    self.queue.end_loads(began);
                }
                Turn::Writes(mut turn, began) => {
                    let sessions = std::mem::take(&mut turn.sessions);
                    let committed = guarded(|| self.write(turn)).unwrap_or_default();
                    self.queue.end_writes(began, &sessions, committed);
                }
            }
        }
        drop(self.alive);
    }

    fn load(&self, jobs: Vec<LoadJob>) {
        let jobs = without_late(jobs);
        let mut ids: Vec<Uuid> = jobs.iter().map(|job| job.work).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return;
        }
        let _pass = match self.breaker.enter(Instant::now()) {
            Ok(pass) => pass,
            Err(error) => return fail_all(jobs, &error),
        };
        match self.call(Call::Load, jobs.len(), |store| store.load(&ids)) {
            Ok(records) => {
                let mut records = by_session(records);
                let are_shared = jobs.len() > ids.len();
                for job in jobs {
                    let record = if are_shared {
                        records.get(&job.work).cloned()
                    } else {
                        records.remove(&job.work)
                    };
                    job.answer(Ok(record));
                }
            }
            // One row that cannot be read is no reason to fail the others.
            Err(StoreError::Corrupt { .. }) if ids.len() > 1 => {
                for job in jobs {
                    self.load_one(job);
                }
            }
            Err(error) => fail_all(jobs, &failed("load", error)),
        }
    }

    fn load_one(&self, job: LoadJob) {
        match self.call(Call::Load, 1, |store| store.load(&[job.work])) {
            Ok(mut records) => job.answer(Ok(records.pop())),
            Err(error) => job.fail(failed("load", error)),
        }
    }

    /// Calls the store, and keeps how that went.
    fn call<T>(
        &self,
        kind: Call,
        size: usize,
        call: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call(&*self.store);
        self.monitor.metrics.called(kind, size, start.elapsed());
        self.breaker.learn(result.as_ref().err());
        result
    }

    fn write(&self, turn: WriteTurn) -> Committed {
        let mut committed = Committed::new();
        let _pass = match self.breaker.enter(Instant::now()) {
            Ok(pass) => pass,
            Err(error) => {
                turn.fail(&error);
                return committed;
            }
        };
        let mut creates = without_late(turn.creates);
        let mut touches = turn.touches;
        let mut groups = group(turn.updates);
        while !(creates.is_empty() && touches.is_empty() && groups.is_empty()) {
            let mut saves = Vec::with_capacity(groups.len());
            let mut saving = Vec::with_capacity(groups.len());
            let mut stale = Vec::new();
            for mut group in groups {
                match group.apply() {
                    Step::Save(save) => {
                        saves.push(save);
                        saving.push(group);
                    }
                    Step::Verify => stale.push(group),
                    Step::Done => {}
                }
            }
            match self.write_once(&creates, &saves, &touches) {
                Ok(written) => {
                    self.count(&creates, &written);
                    for job in creates.drain(..) {
                        job.answer(Ok(()));
                    }
                    touches.clear();
                    for ((group, save), outcome) in saving.into_iter().zip(saves).zip(written.saved)
                    {
                        stale.extend(self.settle(group, save, outcome, &mut committed));
                    }
                }
                // One value breaks a constraint, or one row is held by another transaction: the
                // others are not to suffer for it.
                Err(StoreError::Constraint(_) | StoreError::Locked(_))
                    if creates.len() + saves.len() + stale.len() > 1 =>
                {
                    self.create_singly(std::mem::take(&mut creates));
                    stale.extend(self.save_singly(saving, saves, &mut committed));
                }
                // Nothing was written, and the next round may be luckier.
                Err(StoreError::Serialization(_)) => {
                    creates = without_late(creates);
                    touches.clear();
                    stale.append(&mut saving);
                }
                Err(error) => {
                    let error = failed("write", error);
                    fail_all(creates, &error);
                    fail_groups(saving, &error);
                    fail_groups(stale, &error);
                    break;
                }
            }
            groups = self.reload(stale);
        }
        self.rotate(turn.rotations);
        self.delete(turn.deletes);
        committed
    }

    fn write_once(
        &self,
        creates: &[CreateJob],
        saves: &[SaveSession],
        touches: &[TouchSession],
    ) -> Result<Written, StoreError> {
        if creates.is_empty() && saves.is_empty() && touches.is_empty() {
            return Ok(Written::default());
        }
        let creates: Vec<NewSession> = creates.iter().map(|job| job.work.clone()).collect();
        let batch = WriteBatch {
            creates: &creates,
            saves,
            touches,
        };
        let size = creates.len() + saves.len() + touches.len();
        self.call(Call::Write, size, |store| store.write(&batch))
    }

    /// What follows from a save; the group again if it was refused.
    fn settle(
        &self,
        group: Group,
        save: SaveSession,
        outcome: SaveOutcome,
        committed: &mut Committed,
    ) -> Option<Group> {
        if outcome != SaveOutcome::Saved {
            self.monitor.metrics.conflicts.inc();
            return Some(group);
        }
        let (record, updates) = group.committed(save);
        self.monitor.metrics.updated.inc_by(whole(updates));
        committed.insert(record.session_id, record);
        None
    }

    fn save_singly(
        &self,
        groups: Vec<Group>,
        saves: Vec<SaveSession>,
        committed: &mut Committed,
    ) -> Vec<Group> {
        let mut refused = Vec::new();
        for (group, save) in groups.into_iter().zip(saves) {
            if group.is_late(Instant::now()) {
                group.fail(&SessionError::Timeout);
                continue;
            }
            let one = std::slice::from_ref(&save);
            match self.call(Call::Write, 1, |store| store.save(one)) {
                Ok(outcomes) => {
                    let outcome = outcomes.first().copied().unwrap_or(SaveOutcome::Refused);
                    refused.extend(self.settle(group, save, outcome, committed));
                }
                Err(error) => group.fail(&failed("save", error)),
            }
        }
        refused
    }

    fn create_singly(&self, creates: Vec<CreateJob>) {
        for job in creates {
            if job.is_late(Instant::now()) {
                job.fail(SessionError::Timeout);
                continue;
            }
            match self.write_once(std::slice::from_ref(&job), &[], &[]) {
                Ok(written) => {
                    self.count(std::slice::from_ref(&job), &written);
                    job.answer(Ok(()));
                }
                Err(error) => job.fail(failed("create", error)),
            }
        }
    }

    /// Groups whose write was refused start again from what is stored now.
    fn reload(&self, stale: Vec<Group>) -> Vec<Group> {
        let ids: Vec<Uuid> = stale.iter().map(Group::session_id).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        match self.call(Call::Load, ids.len(), |store| store.load(&ids)) {
            Ok(records) => {
                let mut newest = by_session(records);
                stale
                    .into_iter()
                    .filter_map(|group| {
                        let record = newest.remove(&group.session_id());
                        group.restart(record)
                    })
                    .collect()
            }
            Err(error) => {
                let error = failed("load", error);
                fail_groups(stale, &error);
                Vec::new()
            }
        }
    }

    fn rotate(&self, jobs: Vec<RotateJob>) {
        let jobs = without_late(jobs);
        if jobs.is_empty() {
            return;
        }
        let rotations: Vec<RotateSession> =
            jobs.iter().map(|job| job.work.rotation.clone()).collect();
        match self.call(Call::Rotate, jobs.len(), |store| store.rotate(&rotations)) {
            Ok(rotated) => {
                for (job, rotated) in jobs.into_iter().zip(rotated) {
                    if rotated {
                        self.monitor.rotated(&job.work.id);
                    }
                    job.answer(Ok(rotated));
                }
            }
            Err(StoreError::Locked(_)) if jobs.len() > 1 => {
                for job in jobs {
                    self.rotate(vec![job]);
                }
            }
            Err(error) => fail_all(jobs, &failed("rotate", error)),
        }
    }

    fn delete(&self, jobs: Vec<DeleteJob>) {
        let jobs = without_late(jobs);
        if jobs.is_empty() {
            return;
        }
        let ids: Vec<String> = jobs.iter().map(|job| job.work.id.clone()).collect();
        match self.call(Call::Delete, jobs.len(), |store| store.delete(&ids)) {
            Ok(deleted) => {
                let mut deleted: HashSet<String> = deleted.into_iter().collect();
                for job in jobs {
                    let was_there = deleted.remove(&job.work.id);
                    if was_there {
                        let ended = std::slice::from_ref(&job.work.id);
                        self.monitor.ended(ended, job.work.reason);
                    }
                    job.answer(Ok(was_there));
                }
            }
            Err(StoreError::Locked(_)) if jobs.len() > 1 => {
                for job in jobs {
                    self.delete(vec![job]);
                }
            }
            Err(error) => fail_all(jobs, &failed("delete", error)),
        }
    }

    fn count(&self, creates: &[CreateJob], written: &Written) {
        let ids = creates.iter().map(|job| job.work.id.as_str());
        self.monitor.created(ids);
        self.monitor.metrics.touched.inc_by(whole(written.touched));
    }
}

fn by_session(records: Vec<SessionRecord>) -> HashMap<Uuid, SessionRecord> {
    let by_id = |record: SessionRecord| (record.session_id, record);
    records.into_iter().map(by_id).collect()
}

/// Keeps a panic of the store from ending the thread. The jobs it had are dropped, which tells
/// their callers.
fn guarded<T>(turn: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(turn)).ok();
    if result.is_none() {
        tracing::error!("the session store panicked; the requests of that batch are answered 503");
    }
    result
}

/// Logs once what many requests may be told.
fn failed(verb: &str, error: StoreError) -> SessionError {
    tracing::warn!("{verb}: {error}");
    error.into()
}

impl WriteTurn {
    fn fail(self, error: &SessionError) {
        fail_all(self.creates, error);
        fail_all(self.updates, error);
        fail_all(self.rotations, error);
        fail_all(self.deletes, error);
    }
}

fn fail_all<W, T>(jobs: Vec<Job<W, T>>, error: &SessionError) {
    for job in jobs {
        job.fail(error.clone());
    }
}

fn fail_groups(groups: Vec<Group>, error: &SessionError) {
    for group in groups {
        group.fail(error);
    }
}

/// Answers the jobs whose callers have stopped waiting, and keeps the others.
fn without_late<W, T>(jobs: Vec<Job<W, T>>) -> Vec<Job<W, T>> {
    let now = Instant::now();
    let mut kept = Vec::with_capacity(jobs.len());
    for job in jobs {
        if job.is_late(now) {
            job.fail(SessionError::Timeout);
        } else {
            kept.push(job);
        }
    }
    kept
}
