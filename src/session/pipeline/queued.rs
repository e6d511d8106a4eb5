//! The operations that go through the queue, which every request uses.

pub(super) mod deadlines;
pub(super) mod glance;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::job::{
    Answer, Apply, Creation, Deletion, Failure, Job, Rotation, Update, Updated, WriteJob, abandoned,
};
use super::queue::Queue;
use super::start::Pipeline;
use super::untold::Untold;
use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::store::{
    EndReason, NewSession, RotateSession, SessionHandle, SessionKey, SessionRecord, TouchSession,
};

impl Pipeline {
    /// Loads the row of one session and applies the touches that this process has yet to write. A
    /// session that was used in time is therefore not refused because the write is slower than the
    /// next request.
    pub(crate) async fn load(
        &self,
        key: SessionKey,
    ) -> Result<Option<Arc<SessionRecord>>, SessionError> {
        let (job, answer) = Job::new(key, self.deadline());
        let deadline = job.deadline;
        let mut seen = None;
        let queued = self.checked(deadline, |queue| {
            seen = queue.push_load(job)?;
            Ok(())
        });
        let queued = queued.await;
        let mut record = self.answer(queued, deadline, answer, Look::First).await?;
        if let (Some(record), Some(seen)) = (&mut record, seen) {
            seen.apply(record);
        }
        Ok(record)
    }

    /// Inserts a session. Its token is withdrawn unless a response delivers it.
    pub(crate) async fn create(
        &self,
        new: NewSession,
        context: EventContext,
    ) -> Result<Untold, SessionError> {
        let new = Box::new(new);
        let creation = Creation { new, context };
        self.write(creation, WriteJob::Create).await
    }

    /// Applies a change to the newest data of a session and returns the stored row. Returns `None`
    /// if the session is gone, has a new token, or has expired.
    pub(crate) async fn update(
        &self,
        session: Arc<SessionRecord>,
        now: DateTime<Utc>,
        apply: Apply,
    ) -> Result<Option<Updated>, SessionError> {
        let update = Update {
            session,
            now: self.shared.queue.moment(now),
            apply,
        };
        self.write(update, WriteJob::Update).await
    }

    /// Touches a session whose deadline was `alive_until`, without making anyone wait. Losing a
    /// touch does little harm.
    pub(crate) fn touch(&self, touch: TouchSession, alive_until: DateTime<Utc>) {
        self.shared.queue.push_touch(touch, alive_until);
    }

    /// Gives a session a new token, which is withdrawn unless a response delivers it. Returns
    /// `None` if the session is gone, has another token, or has expired.
    pub(crate) async fn rotate(
        &self,
        previous: SessionRecord,
        rotation: RotateSession,
        context: EventContext,
    ) -> Result<Option<Untold>, SessionError> {
        let rotation = Rotation {
            previous: Box::new(previous),
            new_token: rotation,
            context,
        };
        self.write(rotation, WriteJob::Rotate).await
    }

    /// Deletes a session by its handle. Returns whether it existed.
    pub(crate) async fn delete(
        &self,
        id: SessionHandle,
        reason: EndReason,
        facts: Facts,
    ) -> Result<bool, SessionError> {
        if !id.is_possible() {
            return Ok(false);
        }
        let deletion = Deletion { id, reason, facts };
        self.write(deletion, WriteJob::Delete).await
    }

    async fn write<W, T>(
        &self,
        work: W,
        kind: impl FnOnce(Job<W, T>) -> WriteJob,
    ) -> Result<T, SessionError> {
        let (job, answer) = Job::new(work, self.deadline());
        let deadline = job.deadline;
        let queued = self.checked(deadline, |queue| queue.push_write(kind(job)));
        let queued = queued.await;
        self.answer(queued, deadline, answer, Look::No).await
    }

    /// Queues a job, unless there is an outage.
    async fn checked(
        &self,
        deadline: Instant,
        push: impl FnOnce(&Queue) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        self.shared.breaker.ready(deadline).await?;
        push(&self.shared.queue)
    }

    /// Waits for a worker's answer until the deadline.
    async fn answer<T>(
        &self,
        queued: Result<(), SessionError>,
        deadline: Instant,
        mut answer: Answer<T>,
        look: Look,
    ) -> Result<T, SessionError> {
        let shared = &self.shared;
        let result = match queued {
            Ok(()) => {
                let is_quiet = look == Look::First && shared.queue.is_quiet();
                let mut found = is_quiet.then(|| shared.glance.at(&mut answer)).flatten();
                if found.is_none() {
                    let answered = shared.deadlines.wait(deadline, answer).await;
                    found = answered.map(|answer| answer.unwrap_or_else(|_| Err(abandoned())));
                }
                match found {
                    Some(Ok(value)) => Ok(value),
                    Some(Err(Failure::Error(error))) => Err(error),
                    Some(Err(Failure::Panic(panic))) => std::panic::resume_unwind(panic),
                    None => Err(SessionError::Timeout),
                }
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(error))
    }
}

/// Whether to look for an answer before the task goes to sleep. Writes take longer than a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    No,
}
