//! Deletes sessions, and puts off jobs whose rows are locked.

use std::collections::HashSet;
use std::time::Instant;

use super::{Worker, fail_jobs};
use crate::session::observe::metrics::Call;
use crate::session::pipeline::job::{DeleteJob, Deletion, Job, WriteJob, without_late};
use crate::session::pipeline::worker::batch::isolate;
use crate::store::{DeleteOutcome, SessionHandle, StoreError};

impl Worker {
    pub(super) fn delete(&self, jobs: Vec<DeleteJob>) {
        let mut held = Vec::new();
        let failures = isolate(
            jobs,
            "delete",
            without_late,
            |jobs| {
                let ids: Vec<SessionHandle> = jobs.iter().map(|job| job.work.id.clone()).collect();
                self.call(Call::Delete, jobs.len(), |store| store.try_delete(&ids))
            },
            |jobs, DeleteOutcome { ended, held: kept }| {
                let mut ended: HashSet<SessionHandle> = ended.into_iter().collect();
                let kept: HashSet<SessionHandle> = kept.into_iter().collect();
                for job in jobs {
                    if kept.contains(&job.work.id) {
                        held.push(job);
                        continue;
                    }
                    let was_there = ended.remove(&job.work.id);
                    if was_there {
                        let ended = std::slice::from_ref(&job.work.id);
                        let Deletion { reason, facts, .. } = &job.work;
                        self.shared.monitor.ended(ended, *reason, facts);
                    }
                    job.answer(Ok(was_there));
                }
            },
        );
        self.put_off_held(held, WriteJob::Delete);
        fail_jobs(failures.refused());
    }

    /// Puts off jobs whose rows another transaction has locked. A job that has waited long enough
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
