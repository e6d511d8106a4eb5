//! The updates of one session in one turn: applied one after the other in memory, written once.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::job::{Change, Failure, UpdateJob};
use crate::session::SessionError;
use crate::session::expiry::is_expired;
use crate::store::{SaveSession, SessionRecord};

/// The updates of one session, in the order they came.
pub(super) struct Group {
    /// What they start from.
    base: SessionRecord,
    /// Whether `base` was loaded in this turn, and not by a request some time ago.
    is_newest: bool,
    jobs: Vec<UpdateJob>,
}

/// What a group needs next.
pub(super) enum Step {
    /// Its data is to be written under the version it was made from.
    Save(SaveSession),
    /// It changes nothing, if its base is still the newest: that has to be looked up.
    Verify,
    /// Nothing: all of its jobs are answered.
    Done,
}

/// Sorts updates by session. A group starts from the newest row that any of its requests saw.
pub(super) fn group(updates: Vec<UpdateJob>) -> Vec<Group> {
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for job in updates {
        let session = &job.work.session;
        let place = *places.entry(session.session_id).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => {
                if session.version > group.base.version {
                    group.base = session.clone();
                }
                group.jobs.push(job);
            }
            None => groups.push(Group {
                base: session.clone(),
                is_newest: false,
                jobs: vec![job],
            }),
        }
    }
    groups
}

impl Group {
    pub(super) fn session_id(&self) -> Uuid {
        self.base.session_id
    }

    /// When the first of its callers stops waiting.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.jobs.iter().map(|job| job.deadline).min()
    }

    /// The session's public handle.
    pub(super) fn handle(&self) -> &str {
        &self.base.id
    }

    /// Its jobs, to be tried again later from the newest row that is known.
    pub(super) fn into_jobs(self) -> Vec<UpdateJob> {
        let base = &self.base;
        let mut jobs = self.jobs;
        for job in &mut jobs {
            if base.version > job.work.session.version {
                job.work.session = base.clone();
            }
        }
        jobs
    }

    /// Whether all of its callers have stopped waiting.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.jobs.iter().all(|job| job.is_late(now))
    }

    /// Applies the closures, each to what the one before left. A job that is late, whose closure
    /// fails or panics, is answered and leaves no trace.
    pub(super) fn apply(&mut self) -> Step {
        // The deadline may have moved since the row was loaded.
        if !self.is_newest && self.jobs.iter().any(|job| is_over(&self.base, job)) {
            return Step::Verify;
        }
        let mut current = self.base.clone();
        let mut is_changed = false;
        let mut written_at: Option<DateTime<Utc>> = None;
        let mut kept = Vec::with_capacity(self.jobs.len());
        let started = Instant::now();
        for mut job in std::mem::take(&mut self.jobs) {
            if job.is_late(started) {
                job.fail(SessionError::Timeout);
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| (job.work.apply)(&current))) {
                Ok(Ok(change)) => {
                    if let Change::Data(data) = change {
                        current.data = data;
                        is_changed = true;
                    }
                    written_at = written_at.max(Some(job.work.now.then()));
                    kept.push(job);
                }
                Ok(Err(error)) => job.fail(error),
                Err(panic) => job.answer(Err(Failure::Panic(panic))),
            }
        }
        self.jobs = kept;
        let Some(now) = written_at else {
            return Step::Done;
        };
        if is_changed {
            return Step::Save(SaveSession {
                session_id: self.base.session_id,
                version: self.base.version,
                data: current.data,
                now,
            });
        }
        if !self.is_newest {
            return Step::Verify;
        }
        let base = self.base.clone();
        self.answer(&base);
        Step::Done
    }

    /// How many updates the group is.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Answers all jobs after `save` was committed; returns the row as it is stored now.
    pub(super) fn committed(mut self, save: SaveSession) -> SessionRecord {
        let stored = SessionRecord {
            version: save.version + 1,
            data: save.data,
            updated_at: save.now,
            ..self.base.clone()
        };
        self.answer(&stored);
        stored
    }

    /// Each job gets the row as it is stored, which later jobs of the group may have changed
    /// again: what its own closure made, its caller knows from the closure. Data and version
    /// belong together, for the caller may start its next update from them.
    fn answer(&mut self, stored: &SessionRecord) {
        for job in self.jobs.drain(..) {
            job.answer(Ok(Some(stored.clone())));
        }
    }

    /// Starts again from what is stored; `None` when the session is gone for all of its jobs.
    pub(super) fn restart(mut self, newest: Option<SessionRecord>) -> Option<Self> {
        let jobs = std::mem::take(&mut self.jobs);
        for job in jobs {
            match &newest {
                Some(newest) if !is_over(newest, &job) => self.jobs.push(job),
                _ => job.answer(Ok(None)),
            }
        }
        self.base = newest?;
        self.is_newest = true;
        (!self.jobs.is_empty()).then_some(self)
    }

    pub(super) fn fail(self, error: &SessionError) {
        for job in self.jobs {
            job.fail(error.clone());
        }
    }
}

/// Returns whether the session has expired by now, for a job whose caller read the clock before.
fn is_over(session: &SessionRecord, job: &UpdateJob) -> bool {
    is_expired(session, job.work.now.present())
}
