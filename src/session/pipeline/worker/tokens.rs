//! Rotates sessions, and undoes changes of tokens that never reached their visitors.

use std::time::Instant;

use super::{Worker, fail_jobs};
use crate::session::observe::events::Facts;
use crate::session::observe::metrics::Call;
use crate::session::pipeline::job::{RotateJob, Rotation, WriteJob, without_late};
use crate::session::pipeline::shared::guarded_call;
use crate::session::pipeline::untold::{Undo, Untold};
use crate::session::pipeline::worker::batch::{isolate, report};
use crate::store::{
    EndReason, RotateOutcome, RotateSession, SessionHandle, SessionStore, StoreError, Withdrawal,
};

impl Worker {
    pub(super) fn rotate(&self, jobs: Vec<RotateJob>) {
        let mut held = Vec::new();
        let failures = isolate(
            jobs,
            "rotate",
            without_late,
            |jobs| self.rotate_once(jobs),
            |jobs, outcomes| {
                for (job, (outcome, untold)) in jobs.into_iter().zip(outcomes) {
                    match outcome {
                        RotateOutcome::Rotated => {
                            let Rotation {
                                previous, context, ..
                            } = &job.work;
                            self.shared.monitor.rotated(previous, context);
                            job.answer(Ok(Some(untold)));
                        }
                        RotateOutcome::Gone => {
                            untold.not_made();
                            job.answer(Ok(None));
                        }
                        RotateOutcome::Held => {
                            untold.not_made();
                            held.push(job);
                        }
                    }
                }
            },
        );
        self.put_off_held(held, WriteJob::Rotate);
        fail_jobs(failures.refused());
    }

    fn rotate_once(&self, jobs: &[RotateJob]) -> Result<Vec<(RotateOutcome, Untold)>, StoreError> {
        let rotation = |job: &RotateJob| {
            let Rotation {
                previous,
                new_token,
                ..
            } = &job.work;
            (previous.id.clone(), new_token.clone())
        };
        let rotations: Vec<(SessionHandle, RotateSession)> = jobs.iter().map(rotation).collect();
        let attempt = |job: &RotateJob| {
            self.shared.attempt(Withdrawal {
                id: job.work.previous.id.clone(),
                session_id: job.work.new_token.new_session_id,
                previous: Some(job.work.previous.clone()),
                is_rotation: true,
            })
        };
        let attempts: Vec<Untold> = jobs.iter().map(attempt).collect();
        match self.call(Call::Rotate, jobs.len(), |store| {
            store.rotate_by_key(&rotations)
        }) {
            Ok(outcomes) => {
                let attempts = attempts.into_iter().map(Untold::committed);
                Ok(outcomes.into_iter().zip(attempts).collect())
            }
            Err(error) => {
                for attempt in attempts {
                    attempt.failed(&error);
                }
                Err(error)
            }
        }
    }

    /// Withdraws tokens that never reached their visitors.
    pub(super) fn undo(&self, undos: Vec<Undo>) {
        if undos.is_empty() {
            return;
        }
        let now = self.shared.monitor.now();
        let withdrawals: Vec<Withdrawal> =
            undos.iter().map(|undo| undo.withdrawal.clone()).collect();
        let withdraw = |store: &dyn SessionStore| store.withdraw(&withdrawals, now);
        match guarded_call(|| self.call(Call::Rotate, undos.len(), withdraw)) {
            Ok(withdrawn) => {
                // Those that came too early are handled first, so that an undo that restores their
                // tokens finds them.
                let (done, too_early): (Vec<_>, Vec<_>) = undos
                    .into_iter()
                    .zip(withdrawn)
                    .partition(|(_, done)| *done);
                for (undo, is_withdrawn) in too_early.into_iter().chain(done) {
                    self.undone(undo, is_withdrawn);
                }
            }
            Err(error) if error.is_of_statement() && undos.len() > 1 => {
                for undo in undos {
                    self.undo(vec![undo]);
                }
            }
            Err(error) => {
                report("withdraw new tokens (will be tried again)", &error);
                for undo in undos {
                    self.put_off(undo);
                }
            }
        }
    }

    fn undone(&self, mut undo: Undo, is_withdrawn: bool) {
        let id = &undo.withdrawal.id;
        if is_withdrawn {
            tracing::debug!(
                "withdrew the new token of session {id}, which its visitor did not receive"
            );
            self.shared.monitor.metrics.withdrawn.inc();
            if let Some(previous) = &undo.withdrawal.previous {
                self.shared.queue.restored(&previous.session_id);
            } else {
                let ended = std::slice::from_ref(id);
                let facts = Facts::because("undelivered");
                self.shared.monitor.ended(ended, EndReason::Revoked, &facts);
            }
        } else if undo
            .unsure_until
            .is_some_and(|until| Instant::now() < until)
        {
            let wait = undo.next_backoff();
            return self.shared.queue.put_off_undo(undo, wait);
        } else {
            self.shared.queue.supersede(undo.withdrawal.clone());
        }
        if let Some(done) = undo.done {
            // The request may have ended.
            let _ = done.send(());
        }
    }

    pub(super) fn put_off(&self, mut undo: Undo) {
        if Instant::now() < undo.gives_up {
            let wait = undo.next_backoff();
            self.shared.queue.put_off_undo(undo, wait);
        } else {
            let id = &undo.withdrawal.id;
            tracing::error!(
                "the new token of session {id}, which its visitor did not receive, could not be withdrawn"
            );
        }
    }
}
