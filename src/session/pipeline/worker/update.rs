//! The updates of one session in one turn. They are applied one after the other in memory and
//! written once.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::session::error::SessionError;
use crate::session::expiry::is_expired;
use crate::session::pipeline::job::{Change, Failure, UpdateJob, Updated};
use crate::store::{SaveSession, SessionKey, SessionRecord};

/// The updates of one session in one turn, in order of arrival.
pub(in crate::session::pipeline) struct SessionUpdates {
    /// The row to which they are applied.
    base: Arc<SessionRecord>,
    /// The row as the closures leave it.
    made: Arc<SessionRecord>,
    /// Whether `base` was loaded in this turn, rather than earlier by a request.
    is_newest: bool,
    jobs: Vec<UpdateJob>,
    /// The index of the last job that changed the data.
    last_change: usize,
}

/// The next step for the updates of a session.
pub(in crate::session::pipeline) enum Plan {
    /// Write their data if the row still has the version it was made from.
    Save(SaveSession),
    /// Load the row: the updates change nothing if `base` is still the newest row.
    Verify,
    /// Nothing, because all of them are answered.
    Done,
}

impl SessionUpdates {
    /// Groups updates by session. Those of a session start from the newest row that any of their
    /// requests has seen.
    pub(in crate::session::pipeline) fn by_session(jobs: Vec<UpdateJob>) -> Vec<Self> {
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        let mut sessions: Vec<Self> = Vec::new();
        for job in jobs {
            let session = &job.work.session;
            let place = *places.entry(session.session_id).or_insert(sessions.len());
            match sessions.get_mut(place) {
                Some(updates) => {
                    if session.version > updates.base.version {
                        updates.base = Arc::clone(session);
                    }
                    updates.jobs.push(job);
                }
                None => sessions.push(Self {
                    base: Arc::clone(session),
                    made: Arc::clone(session),
                    is_newest: false,
                    jobs: vec![job],
                    last_change: 0,
                }),
            }
        }
        sessions
    }

    pub(in crate::session::pipeline) fn session_id(&self) -> Uuid {
        self.base.session_id
    }

    pub(in crate::session::pipeline) fn key(&self) -> SessionKey {
        SessionKey {
            session_id: self.base.session_id,
            id: Some(self.base.id.clone()),
        }
    }

    /// Returns when the first caller stops waiting.
    pub(in crate::session::pipeline) fn deadline(&self) -> Option<Instant> {
        self.jobs.iter().map(|job| job.deadline).min()
    }

    /// Returns the session's handle.
    pub(in crate::session::pipeline) fn handle(&self) -> &str {
        self.base.id.as_str()
    }

    /// Returns the jobs, to be tried again later from the newest known row.
    pub(in crate::session::pipeline) fn into_jobs(self) -> Vec<UpdateJob> {
        let base = &self.base;
        let mut jobs = self.jobs;
        for job in &mut jobs {
            if base.version > job.work.session.version {
                job.work.session = Arc::clone(base);
            }
        }
        jobs
    }

    /// Returns whether all callers have stopped waiting.
    pub(in crate::session::pipeline) fn is_late(&self, now: Instant) -> bool {
        self.jobs.iter().all(|job| job.is_late(now))
    }

    /// Applies the closures in memory, each to the result of the previous one. After a change, the
    /// row has the next version, so that a closure can recognise data that its request has not seen.
    /// A job that is late, or whose closure fails or panics, is answered and has no effect.
    pub(in crate::session::pipeline) fn prepare(&mut self) -> Plan {
        // The deadline may have moved since the row was loaded.
        if !self.is_newest && self.jobs.iter().any(|job| is_over(&self.base, job)) {
            return Plan::Verify;
        }
        self.made = Arc::clone(&self.base);
        let mut written_at: Option<DateTime<Utc>> = None;
        self.last_change = 0;
        let mut kept = Vec::with_capacity(self.jobs.len());
        let started = Instant::now();
        for mut job in std::mem::take(&mut self.jobs) {
            if job.is_late(started) {
                job.fail(SessionError::Timeout);
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| (job.work.apply)(&self.made))) {
                Ok(Ok(change)) => {
                    if let Change::Data(data) = change {
                        let made = Arc::make_mut(&mut self.made);
                        made.data = data;
                        made.version += 1;
                        self.last_change = kept.len();
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
            return Plan::Done;
        };
        if self.made.version != self.base.version {
            let made = Arc::make_mut(&mut self.made);
            made.version = self.base.version + 1;
            made.updated_at = now;
            return Plan::Save(SaveSession {
                session_id: self.base.session_id,
                id: Some(self.base.id.clone()),
                version: self.base.version,
                data: std::mem::take(&mut made.data),
                now,
            });
        }
        if !self.is_newest {
            return Plan::Verify;
        }
        let base = Arc::clone(&self.base);
        self.answer(&base);
        Plan::Done
    }

    /// Returns the number of updates.
    pub(in crate::session::pipeline) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Answers all jobs after `save` was committed, and returns the row as it is now stored.
    pub(in crate::session::pipeline) fn committed(
        mut self,
        save: SaveSession,
    ) -> Arc<SessionRecord> {
        let mut stored = std::mem::replace(&mut self.made, Arc::clone(&self.base));
        Arc::make_mut(&mut stored).data = save.data;
        self.answer(&stored);
        stored
    }

    /// Answers each job with the stored row, which includes the results of later jobs. A caller
    /// knows its own result from its closure. Data and version belong together, because the caller
    /// may start its next update from them.
    fn answer(&mut self, stored: &Arc<SessionRecord>) {
        for (index, job) in self.jobs.drain(..).enumerate() {
            job.answer(Ok(Some(Updated {
                record: Arc::clone(stored),
                is_overtaken: index < self.last_change,
            })));
        }
    }

    /// Restarts from the stored row. Returns `None` if the session has ended for all of the jobs.
    pub(in crate::session::pipeline) fn restart(
        mut self,
        newest: Option<Arc<SessionRecord>>,
    ) -> Option<Self> {
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

    fn fail(self, error: &SessionError) {
        for job in self.jobs {
            job.fail(error.clone());
        }
    }
}

/// Answers all updates with an error.
pub(in crate::session::pipeline) fn fail_updates(
    sessions: impl IntoIterator<Item = SessionUpdates>,
    error: &SessionError,
) {
    for updates in sessions {
        updates.fail(error);
    }
}

/// Returns whether the session has expired by now, according to the time that the job's caller
/// read.
fn is_over(session: &SessionRecord, job: &UpdateJob) -> bool {
    is_expired(session, job.work.now.present())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::pipeline::job::{Answer, Apply, Job, Moment, Update};
    use crate::testing::new_session;

    fn job(session: &SessionRecord, apply: Apply) -> (UpdateJob, Answer<Option<Updated>>) {
        let work = Update {
            session: session.clone().into(),
            now: Moment::new(session.created_at, false),
            apply,
        };
        Job::new(work, Instant::now() + Duration::from_mins(1))
    }

    fn append(text: &'static str) -> Apply {
        Box::new(move |current| Ok(Change::Data(format!("{}{text}", current.data))))
    }

    /// Replaces the data if it has the version that the request has seen.
    fn replace(seen: i64) -> Apply {
        Box::new(move |current| match current.version {
            version if version == seen => Ok(Change::Data("replaced".to_owned())),
            _ => Err(SessionError::Stale),
        })
    }

    fn overtaken(mut answer: Answer<Option<Updated>>) -> Result<bool, SessionError> {
        match answer.try_recv().unwrap() {
            Ok(updated) => Ok(updated.unwrap().is_overtaken),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Panic(_)) => panic!("the closure panicked"),
        }
    }

    #[test]
    fn i1_a_set_in_a_batch_is_judged_by_what_its_request_has_seen() {
        let row = new_session(DateTime::UNIX_EPOCH).into_record();
        let (first, before) = job(&row, replace(row.version));
        let (second, stale) = job(&row, replace(row.version));
        let (third, after) = job(&row, append("!"));
        let mut sessions = SessionUpdates::by_session(vec![first, second, third]);
        let mut updates = sessions.remove(0);
        let Plan::Save(save) = updates.prepare() else {
            panic!("nothing to save");
        };
        assert_eq!(
            (save.version, save.data.as_str()),
            (row.version, "replaced!")
        );
        updates.committed(save);
        // The first has not seen what was appended, although it is in the row that it got.
        assert_eq!(overtaken(before), Ok(true));
        assert_eq!(overtaken(stale), Err(SessionError::Stale));
        assert_eq!(overtaken(after), Ok(false));
    }
}
