//! Runs a turn of writes, in rounds. No update is lost, for the following reasons:
//!
//! 1. [`prepare`] applies the closures of each session in memory, one after the other, to one row.
//!    The result is a save that requires the version of that row.
//! 2. [`Worker::commit`] writes each save only if that version is still stored (compare-and-swap).
//! 3. [`Worker::settle`] answers the callers of a save that was written. The updates of a save that
//!    was refused are stale: their closures run again in the next round, on the row that
//!    [`Worker::reload`] finds.
//!
//! A caller therefore gets a success only for a closure whose result was written over exactly the
//! row to which it was applied.

use std::time::Instant;

use super::{Committed, Worker, by_session};
use crate::session::error::SessionError;
use crate::session::observe::metrics::{Call, whole};
use crate::session::pipeline::job::{WriteJob, fail_all};
use crate::session::pipeline::queue::Bench;
use crate::session::pipeline::untold::Untold;
use crate::session::pipeline::worker::batch::{Batch, Failures, isolate, refusal, report};
use crate::session::pipeline::worker::round::{Round, WriteTurn, Writes};
use crate::session::pipeline::worker::update::{SessionUpdates, fail_updates};
use crate::store::{
    SaveOutcome, SaveSession, SessionKey, StoreError, Withdrawal, WriteBatch, WriteOutcome,
};

impl Worker {
    /// Runs a turn of writes and returns the rows that its updates left.
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
            // Undos come first, so that old cookies are valid again as soon as possible.
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

    /// During an outage, waits for a probe that is about to run, at most until the first job is
    /// late.
    fn admit(&self, round: &Round) -> Result<(), SessionError> {
        let deadline = round.deadline().unwrap_or_else(Instant::now);
        self.shared.breaker.enter(deadline)
    }

    /// Answers all jobs with an error and keeps the undos for later.
    fn refuse(&self, round: Round, error: &SessionError) {
        fail_all(round.creates, error);
        fail_all(round.rotations, error);
        fail_all(round.deletes, error);
        fail_updates(round.updates, error);
        for undo in round.undos {
            self.put_off(undo);
        }
    }

    /// Writes in as few calls as the store allows, and settles each. Writes to be repeated return
    /// to `round`.
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

    /// Calls the store, which commits all of `writes` or none. A save is written only over the
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

    /// Answers the callers of committed writes. Updates whose save was refused become stale, and
    /// those whose row is locked are put off.
    fn settle(
        &self,
        writes: Writes,
        (written, untold): (WriteOutcome, Vec<Untold>),
        round: &mut Round,
        committed: &mut Committed,
    ) {
        let monitor = &self.shared.monitor;
        for (job, untold) in writes.creates.into_iter().zip(untold) {
            monitor.created(&job.work.new, &job.work.context);
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
        // Counted first, because a caller with an answer may look at the metrics.
        let metrics = &self.shared.monitor.metrics;
        metrics.updated.inc_by(whole(updates.len()));
        let record = updates.committed(save);
        committed.insert(record.session_id, record);
    }

    /// Restarts stale updates from the stored rows. Updates of sessions that have ended are
    /// answered.
    fn reload(&self, stale: Vec<SessionUpdates>) -> Vec<SessionUpdates> {
        let keys: Vec<SessionKey> = stale.iter().map(SessionUpdates::key).collect();
        if keys.is_empty() {
            return Vec::new();
        }
        match self.call(Call::Load, keys.len(), |store| store.load_by_key(&keys)) {
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

/// Runs the closures of all sessions and sorts each session's updates by their plan. If a closure
/// does not return in time, the rest of the round has been given to another worker, and only that
/// closure's session is left.
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

/// Handles failed writes. Those that only conflicted with another transaction are repeated; all
/// others are answered with their error.
fn give_up(failures: Failures<Writes>, is_written: bool, round: &mut Round) {
    for (writes, error) in failures.singles {
        if matches!(error, StoreError::Serialization(_)) {
            // Nothing was written, and the next round may succeed.
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
