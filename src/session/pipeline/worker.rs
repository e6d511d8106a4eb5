//! A worker thread. It takes turns from the queue and answers them with one call of the store per
//! kind.

pub(super) mod batch;
mod ends;
pub(super) mod round;
mod tokens;
pub(super) mod update;
mod writes;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::job::{Job, LoadJob, fail_all, without_late};
use super::queue::Turn;
use super::shared::Shared;
use crate::session::observe::metrics::Call;
use crate::store::{SessionKey, SessionRecord, SessionStore, StoreError};
use batch::{Failures, isolate};

/// The rows as a turn left them, by lookup half.
type Committed = HashMap<Uuid, Arc<SessionRecord>>;

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
}

impl Worker {
    /// Works until the queue is closed and empty, or until another worker has replaced this one.
    /// Returns whether it was not replaced. After a panic in the store, the callers of that turn
    /// are answered 503, and the worker goes on.
    pub(super) fn run(&self) -> bool {
        let queue = &self.shared.queue;
        while let Some(turn) = queue.next() {
            let is_mine = match turn {
                Turn::Loads(jobs, id) => {
                    guarded(|| self.run_loads(jobs));
                    queue.end(id, Committed::new())
                }
                Turn::Writes(turn, id, bench) => {
                    let committed = guarded(|| self.run_writes(turn, &bench)).unwrap_or_default();
                    queue.end(id, committed)
                }
            };
            if !is_mine {
                return false;
            }
        }
        true
    }

    /// Answers loads. Loads of the same session share a row.
    fn run_loads(&self, jobs: Vec<LoadJob>) {
        let Some(jobs) = self.admitted(without_late(jobs, Instant::now())) else {
            return;
        };
        let failures = isolate(
            jobs,
            "load",
            without_late,
            |jobs| {
                let keys = distinct(jobs);
                let load = |store: &dyn SessionStore| store.load_by_key(&keys);
                self.call(Call::Load, jobs.len(), load)
            },
            |jobs, records| {
                let records = by_session(records);
                for job in jobs {
                    let record = records.get(&job.work.session_id).cloned();
                    job.answer(Ok(record));
                }
            },
        );
        fail_jobs(failures);
    }

    /// Returns the jobs, unless there is an outage.
    fn admitted<W, T>(&self, jobs: Vec<Job<W, T>>) -> Option<Vec<Job<W, T>>> {
        let deadline = jobs.iter().map(|job| job.deadline).min()?;
        match self.shared.breaker.enter(deadline) {
            Ok(()) => Some(jobs),
            Err(error) => {
                fail_all(jobs, &error);
                None
            }
        }
    }

    /// Calls the store and records the duration and the result.
    fn call<T>(
        &self,
        kind: Call,
        size: usize,
        call: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call(&*self.shared.store);
        let metrics = &self.shared.monitor.metrics;
        metrics.called(kind, size, start.elapsed());
        self.shared.breaker.learn(result.as_ref().err(), start);
        result
    }
}

/// Returns the key of each session once. A key with a handle is kept rather than one without.
fn distinct(jobs: &[LoadJob]) -> Vec<SessionKey> {
    let mut keys: Vec<&SessionKey> = jobs.iter().map(|job| &job.work).collect();
    keys.sort_unstable_by(|a, b| (a.session_id, &b.id).cmp(&(b.session_id, &a.id)));
    keys.dedup_by_key(|key| key.session_id);
    keys.into_iter().cloned().collect()
}

fn by_session(records: Vec<SessionRecord>) -> HashMap<Uuid, Arc<SessionRecord>> {
    let by_id = |record: SessionRecord| (record.session_id, Arc::new(record));
    records.into_iter().map(by_id).collect()
}

/// Prevents a panic of the store from ending the thread. The turn's jobs are dropped, which answers
/// their callers.
fn guarded<T>(turn: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(turn)).ok();
    if result.is_none() {
        tracing::error!("the session store panicked; the requests of this batch are answered 503");
    }
    result
}

fn fail_jobs<W, T>(failures: Failures<Vec<Job<W, T>>>) {
    for (jobs, error) in failures.singles {
        fail_all(jobs, &error.into());
    }
    if let Some((rest, error)) = failures.rest {
        for jobs in rest {
            fail_all(jobs, &error);
        }
    }
}
