//! A turn of writes: closures, new sessions, data, touches, rotations, ends.

use std::collections::HashSet;
use std::time::Instant;

use uuid::Uuid;

use super::batch::{Batch, Writes, isolate, refusal, report};
use super::job::{DeleteJob, Job, WriteJob};
use super::queue::{Bench, Parts, WriteTurn};
use super::untold::Untold;
use super::update::{Group, Step, group};
use super::worker::{
    Committed, Worker, by_session, fail_all, fail_groups, fail_jobs, without_late,
};
use crate::session::SessionError;
use crate::session::observe::metrics::{Call, whole};
use crate::store::{
    DeleteOutcome, SaveOutcome, SaveSession, StoreError, Withdrawal, WriteBatch, WriteOutcome,
};

/// What came of a group's closures.
enum Applied {
    Save(Group, SaveSession),
    Stale(Group),
    Done,
}

impl Worker {
    pub(super) fn write(&self, turn: WriteTurn, bench: &Bench) -> Committed {
        let mut committed = Committed::new();
        let now = Instant::now();
        let mut parts = Parts {
            creates: without_late(turn.creates, now),
            rotations: without_late(turn.rotations, now),
            deletes: without_late(turn.deletes, now),
            touches: turn.touches,
            undos: turn.undos,
            waiting: group(turn.updates),
            ..Parts::default()
        };
        if let Err(error) = self.admit(&parts) {
            self.refuse(parts, &error);
            return committed;
        }
        loop {
            parts = Self::apply(parts, bench);
            // First, so that an old cookie is good again as soon as possible.
            self.undo(std::mem::take(&mut parts.undos));
            let writes = Writes {
                creates: std::mem::take(&mut parts.creates),
                saves: std::mem::take(&mut parts.saving),
                touches: std::mem::take(&mut parts.touches),
                touch_until: now + self.shared.lock_wait,
            };
            let mut stale = std::mem::take(&mut parts.stale);
            self.commit(writes, &mut parts, &mut stale, &mut committed);
            parts.waiting = self.reload(stale);
            if parts.waiting.is_empty() && parts.creates.is_empty() {
                break;
            }
        }
        self.rotate(parts.rotations);
        self.delete(parts.deletes);
        committed
    }

    /// Waits for the end of an outage if a probe is about to find it, at most until the first of the
    /// jobs is late.
    pub(super) fn admit(&self, parts: &Parts) -> Result<(), SessionError> {
        let creates = parts.creates.iter().map(|job| job.deadline);
        let rotations = parts.rotations.iter().map(|job| job.deadline);
        let deletes = parts.deletes.iter().map(|job| job.deadline);
        let groups = parts.waiting.iter().filter_map(Group::deadline);
        let deadlines = creates.chain(rotations).chain(deletes).chain(groups);
        let deadline = deadlines.min().unwrap_or_else(Instant::now);
        self.shared.breaker.enter(deadline)
    }

    /// Answers all jobs with an error, and keeps the undos for later.
    pub(super) fn refuse(&self, parts: Parts, error: &SessionError) {
        fail_all(parts.creates, error);
        fail_all(parts.rotations, error);
        fail_all(parts.deletes, error);
        fail_groups(parts.waiting, error);
        for undo in parts.undos {
            self.put_off(undo);
        }
    }

    /// Runs the closures of all groups. What is left of the turn if one of them did not come back in
    /// time is that closure's group: another worker has the others.
    fn apply(parts: Parts, bench: &Bench) -> Parts {
        if parts.waiting.is_empty() {
            return parts;
        }
        bench.put(parts);
        while let Some(mut group) = bench.begin() {
            let applied = match group.apply() {
                Step::Save(save) => Applied::Save(group, save),
                Step::Verify => Applied::Stale(group),
                Step::Done => Applied::Done,
            };
            if let Some(applied) = bench.end(applied, put_away) {
                let mut own = Parts::default();
                put_away(&mut own, applied);
                return own;
            }
        }
        bench.take()
    }

    /// Writes, and answers the jobs that are done. New sessions that met another transaction go to
    /// `again`, groups that are to be applied anew to `stale`.
    fn commit(
        &self,
        writes: Writes,
        again: &mut Parts,
        stale: &mut Vec<Group>,
        committed: &mut Committed,
    ) {
        let mut is_written = false;
        let mut held = Vec::new();
        let failures = isolate(
            writes,
            "write",
            writes_in_time,
            |writes| self.write_once(writes),
            |writes, (written, untold)| {
                is_written |= !(writes.creates.is_empty() && writes.saves.is_empty());
                for (job, untold) in writes.creates.into_iter().zip(untold) {
                    self.shared
                        .monitor
                        .created([job.work.id.as_str()].into_iter());
                    job.answer(Ok(untold));
                }
                for ((group, save), outcome) in writes.saves.into_iter().zip(written.saved) {
                    match outcome {
                        SaveOutcome::Saved => self.saved(group, save, committed),
                        SaveOutcome::Held => held.extend(group.into_jobs()),
                        SaveOutcome::Refused => {
                            self.shared.monitor.metrics.conflicts.inc();
                            stale.push(group);
                        }
                    }
                }
            },
        );
        self.put_off_held(held, WriteJob::Update);
        for (writes, error) in failures.singles {
            if matches!(error, StoreError::Serialization(_)) {
                // Nothing was written, and the next round may be luckier.
                again.creates.extend(writes.creates);
                stale.extend(writes.saves.into_iter().map(|(group, _)| group));
            } else {
                writes.fail(&refusal(error, is_written).into());
            }
        }
        if let Some((rest, error)) = failures.rest {
            for writes in rest {
                writes.fail(&error);
            }
            fail_groups(std::mem::take(stale), &error);
        }
    }

    fn write_once(&self, writes: &mut Writes) -> Result<(WriteOutcome, Vec<Untold>), StoreError> {
        let size = writes.len();
        let values = writes.values();
        let attempts: Vec<Untold> = values
            .creates
            .iter()
            .map(|new| {
                self.attempt(Withdrawal {
                    id: new.id.clone(),
                    session_id: new.session_id,
                    previous: None,
                    is_rotation: true,
                })
            })
            .collect();
        let batch = WriteBatch {
            creates: &values.creates,
            saves: &values.saves,
            touches: &writes.touches,
        };
        let written = self.call(Call::Write, size, |store| store.write(&batch));
        writes.put_back(values);
        match written {
            Ok(written) => {
                let metrics = &self.shared.monitor.metrics;
                metrics.touched.inc_by(whole(written.touched));
                let attempts = attempts.into_iter().map(Untold::committed);
                Ok((written, attempts.collect()))
            }
            Err(error) => {
                for attempt in attempts {
                    attempt.failed(&error);
                }
                Err(error)
            }
        }
    }

    fn saved(&self, group: Group, save: SaveSession, committed: &mut Committed) {
        // A caller with the answer may look at the metrics.
        let metrics = &self.shared.monitor.metrics;
        metrics.updated.inc_by(whole(group.len()));
        let record = group.committed(save);
        committed.insert(record.session_id, record);
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
                let restart = |group: Group| {
                    let record = newest.remove(&group.session_id());
                    group.restart(record)
                };
                stale.into_iter().filter_map(restart).collect()
            }
            Err(error) if error.is_of_statement() && stale.len() > 1 => {
                let one_by_one = |group| self.reload(vec![group]);
                stale.into_iter().flat_map(one_by_one).collect()
            }
            Err(error) => {
                report("load", &error);
                fail_groups(stale, &error.into());
                Vec::new()
            }
        }
    }

    pub(super) fn delete(&self, jobs: Vec<DeleteJob>) {
        let mut held = Vec::new();
        let failures = isolate(
            jobs,
            "delete",
            without_late,
            |jobs| {
                let ids: Vec<String> = jobs.iter().map(|job| job.work.id.clone()).collect();
                self.call(Call::Delete, jobs.len(), |store| store.try_delete(&ids))
            },
            |jobs, DeleteOutcome { ended, held: kept }| {
                let mut ended: HashSet<String> = ended.into_iter().collect();
                let kept: HashSet<String> = kept.into_iter().collect();
                for job in jobs {
                    if kept.contains(&job.work.id) {
                        held.push(job);
                        continue;
                    }
                    let was_there = ended.remove(&job.work.id);
                    if was_there {
                        let ended = std::slice::from_ref(&job.work.id);
                        self.shared.monitor.ended(ended, job.work.reason);
                    }
                    job.answer(Ok(was_there));
                }
            },
        );
        self.put_off_held(held, WriteJob::Delete);
        fail_jobs(failures.refused());
    }

    /// Puts off jobs whose rows another transaction holds. One that has waited for long enough
    /// fails.
    pub(super) fn put_off_held<W, T>(
        &self,
        jobs: Vec<Job<W, T>>,
        kind: impl Fn(Job<W, T>) -> WriteJob,
    ) {
        if jobs.is_empty() {
            return;
        }
        let mut kept = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            let since = *job.held_since.get_or_insert_with(Instant::now);
            if since.elapsed() < self.shared.lock_wait {
                kept.push(kind(job));
            } else {
                job.fail(StoreError::Held.into());
            }
        }
        self.shared.queue.put_off(kept);
    }
}

fn put_away(parts: &mut Parts, applied: Applied) {
    match applied {
        Applied::Save(group, save) => parts.saving.push((group, save)),
        Applied::Stale(group) => parts.stale.push(group),
        Applied::Done => {}
    }
}

impl Writes {
    fn fail(self, error: &SessionError) {
        fail_all(self.creates, error);
        fail_groups(
            self.saves.into_iter().map(|(group, _)| group).collect(),
            error,
        );
    }
}

fn writes_in_time(mut writes: Writes, now: Instant) -> Writes {
    if now >= writes.touch_until {
        writes.touches.clear();
    }
    writes.creates = without_late(writes.creates, now);
    let (late, saves) = writes
        .saves
        .into_iter()
        .partition(|(group, _)| group.is_late(now));
    writes.saves = saves;
    fail_groups(
        late.into_iter().map(|(group, _)| group).collect(),
        &SessionError::Timeout,
    );
    writes
}
