//! A turn of writes, in rounds. Here is why no update is lost.
//!
//! 1. [`prepare`] applies the closures of each session in memory, one after the other, to one row.
//!    What they make of it is a save under the version of that row.
//! 2. [`Worker::commit`] has the store write each save where that version is still the one that is
//!    stored: a compare-and-swap.
//! 3. [`Worker::settle`] answers the callers of a save that was written. A save that was refused is
//!    stale: its closures run again in the next round, on the row as [`Worker::reload`] finds it.
//!
//! So a caller gets an answer of success only for a closure whose result is part of a row that was
//! written over the very row it was applied to.

use std::time::Instant;

use uuid::Uuid;

use super::{Committed, Worker, by_session};
use crate::session::error::SessionError;
use crate::session::observe::metrics::{Call, whole};
use crate::session::pipeline::batch::{Batch, Failures, isolate, refusal, report};
use crate::session::pipeline::job::{WriteJob, fail_all};
use crate::session::pipeline::queue::Bench;
use crate::session::pipeline::round::{Round, WriteTurn, Writes};
use crate::session::pipeline::untold::Untold;
use crate::session::pipeline::update::{SessionUpdates, fail_updates};
use crate::store::{SaveOutcome, SaveSession, StoreError, Withdrawal, WriteBatch, WriteOutcome};

impl Worker {
    /// Runs a turn of writes; returns the rows that its updates left.
    pub(super) fn run_writes(&self, turn: WriteTurn, bench: &Bench) -> Committed {
        let now = Instant::now();
        let touch_until = now + self.shared.lock_wait;
        let mut committed = Committed::new();
        let mut round = Round::first(turn, now);
        if let Err(error) = self.admit(&round) {
            self.refuse(round, &error);
            return committed;
        }
        loop {
            round = prepare(round, bench);
            // First, so that an old cookie is good again as soon as possible.
            self.undo(std::mem::take(&mut round.undos));
            let writes = round.take_writes(touch_until);
            self.commit(writes, &mut round, &mut committed);
            round.updates = self.reload(std::mem::take(&mut round.stale));
            if round.updates.is_empty() && round.creates.is_empty() {
                break;
            }
        }
        self.rotate(round.rotations);
        self.delete(round.deletes);
        committed
    }

    /// Waits for the end of an outage if a probe is about to find it, at most until the first of the
    /// jobs is late.
    fn admit(&self, round: &Round) -> Result<(), SessionError> {
        let deadline = round.deadline().unwrap_or_else(Instant::now);
        self.shared.breaker.enter(deadline)
    }

    /// Answers all jobs with an error, and keeps the undos for later.
    fn refuse(&self, round: Round, error: &SessionError) {
        fail_all(round.creates, error);
        fail_all(round.rotations, error);
        fail_all(round.deletes, error);
        fail_updates(round.updates, error);
        for undo in round.undos {
            self.put_off(undo);
        }
    }

    /// Writes in as few calls as the store lets, and settles each. What is to be done again goes back
    /// into `round`.
    fn commit(&self, writes: Writes, round: &mut Round, committed: &mut Committed) {
        let mut is_written = false;
        let failures = isolate(
            writes,
            "write",
            Writes::in_time,
            |writes| self.write_once(writes),
            |writes, outcome| {
                is_written |= writes.is_awaited();
                self.settle(writes, outcome, round, committed);
            },
        );
        give_up(failures, is_written, round);
    }

    /// Calls the store: all of `writes` is committed, or none of it. A save is written only over the
    /// version it was made from.
    fn write_once(&self, writes: &mut Writes) -> Result<(WriteOutcome, Vec<Untold>), StoreError> {
        let size = writes.len();
        let values = writes.values();
        let attempts: Vec<Untold> = values
            .creates
            .iter()
            .map(|new| {
                self.shared.attempt(Withdrawal {
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

    /// Answers what was committed. Updates whose save was refused are stale, and those whose row is
    /// held are put off.
    fn settle(
        &self,
        writes: Writes,
        (written, untold): (WriteOutcome, Vec<Untold>),
        round: &mut Round,
        committed: &mut Committed,
    ) {
        let monitor = &self.shared.monitor;
        for (job, untold) in writes.creates.into_iter().zip(untold) {
            monitor.created([job.work.id.as_str()].into_iter());
            job.answer(Ok(untold));
        }
        let mut held = Vec::new();
        for ((updates, save), outcome) in writes.saves.into_iter().zip(written.saved) {
            match outcome {
                SaveOutcome::Saved => self.saved(updates, save, committed),
                SaveOutcome::Held => held.extend(updates.into_jobs()),
                SaveOutcome::Refused => {
                    monitor.metrics.conflicts.inc();
                    round.stale.push(updates);
                }
            }
        }
        self.put_off_held(held, WriteJob::Update);
    }

    fn saved(&self, updates: SessionUpdates, save: SaveSession, committed: &mut Committed) {
        // A caller with the answer may look at the metrics.
        let metrics = &self.shared.monitor.metrics;
        metrics.updated.inc_by(whole(updates.len()));
        let record = updates.committed(save);
        committed.insert(record.session_id, record);
    }

    /// Starts stale updates again, from what is stored now. Those of a session that is gone are
    /// answered.
    fn reload(&self, stale: Vec<SessionUpdates>) -> Vec<SessionUpdates> {
        let ids: Vec<Uuid> = stale.iter().map(SessionUpdates::session_id).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        match self.call(Call::Load, ids.len(), |store| store.load(&ids)) {
            Ok(records) => {
                let mut newest = by_session(records);
                let restart = |updates: SessionUpdates| {
                    let record = newest.remove(&updates.session_id());
                    updates.restart(record)
                };
                stale.into_iter().filter_map(restart).collect()
            }
            Err(error) if error.is_of_statement() && stale.len() > 1 => {
                let one_by_one = |updates| self.reload(vec![updates]);
                stale.into_iter().flat_map(one_by_one).collect()
            }
            Err(error) => {
                report("load", &error);
                fail_updates(stale, &error.into());
                Vec::new()
            }
        }
    }
}

/// Runs the closures of all sessions, and places each session's updates by their plan. What is left of
/// the round if a closure did not come back in time is that closure's session: another worker has the
/// others.
fn prepare(round: Round, bench: &Bench) -> Round {
    if round.updates.is_empty() {
        return round;
    }
    bench.put(round);
    while let Some(mut updates) = bench.begin() {
        let plan = updates.prepare();
        if let Some(planned) = bench.end((updates, plan), Round::place) {
            let mut own = Round::default();
            own.place(planned);
            return own;
        }
    }
    bench.take()
}

/// Deals with what could not be written. What only met another transaction is done again; all else is
/// answered with its error.
fn give_up(failures: Failures<Writes>, is_written: bool, round: &mut Round) {
    for (writes, error) in failures.singles {
        if matches!(error, StoreError::Serialization(_)) {
            // Nothing was written, and the next round may be luckier.
            round.creates.extend(writes.creates);
            let saves = writes.saves.into_iter();
            round.stale.extend(saves.map(|(updates, _)| updates));
        } else {
            writes.fail(&refusal(error, is_written).into());
        }
    }
    if let Some((rest, error)) = failures.rest {
        for writes in rest {
            writes.fail(&error);
        }
        fail_updates(std::mem::take(&mut round.stale), &error);
    }
}
