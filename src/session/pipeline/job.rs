//! Jobs: the operations that requests ask of the store, and how each gets its answer.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rocket::tokio::sync::oneshot;

use super::untold::Untold;
use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::store::{
    EndReason, NewSession, RotateSession, SessionHandle, SessionKey, SessionRecord,
};

/// Makes the new data of a row. It is called again if another process has changed the row first.
pub(crate) type Apply = Box<dyn FnMut(&SessionRecord) -> Result<Change, SessionError> + Send>;

/// The result of applying an update to a row's data.
#[derive(Debug)]
pub(crate) enum Change {
    Unchanged,
    Data(String),
}

/// The row that an update left.
#[derive(Clone, Debug)]
pub(crate) struct Updated {
    pub(crate) record: Arc<SessionRecord>,
    /// Whether the row also has changes by later updates of its batch, which the caller has not
    /// seen.
    pub(crate) is_overtaken: bool,
}

/// The reason why a job has no result.
pub(super) enum Failure {
    Error(SessionError),
    /// The update's closure panicked. The panic resumes in the request that brought the closure.
    Panic(Box<dyn Any + Send>),
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Error(error)
    }
}

/// Returns the answer to a job that no one answers.
pub(super) fn abandoned() -> Failure {
    SessionError::Aborted.into()
}

/// An operation, its deadline, and the channel for its answer. Dropping it unanswered informs the
/// caller that it was abandoned.
pub(super) struct Job<W, T> {
    pub(super) work: W,
    pub(super) deadline: Instant,
    /// When its row was first found to be locked by another transaction.
    pub(super) held_since: Option<Instant>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

pub(super) type Answer<T> = oneshot::Receiver<Result<T, Failure>>;

impl<W, T> Job<W, T> {
    pub(super) fn new(work: W, deadline: Instant) -> (Self, Answer<T>) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            work,
            deadline,
            held_since: None,
            reply,
        };
        (job, answer)
    }

    /// Returns whether the caller has stopped waiting.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.deadline || self.reply.is_closed()
    }

    /// Sends the result. If the caller no longer waits, the result is dropped, which undoes a
    /// change of token ([`Untold`]).
    pub(super) fn answer(self, result: Result<T, Failure>) {
        drop(self.reply.send(result));
    }

    pub(super) fn fail(self, error: SessionError) {
        self.answer(Err(error.into()));
    }
}

/// Answers the jobs whose callers have stopped waiting, and keeps the others.
pub(super) fn without_late<W, T>(jobs: Vec<Job<W, T>>, now: Instant) -> Vec<Job<W, T>> {
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

/// Answers all jobs with an error.
pub(super) fn fail_all<W, T>(jobs: Vec<Job<W, T>>, error: &SessionError) {
    for job in jobs {
        job.fail(error.clone());
    }
}

/// A time read from the clock, and the time that has passed since. A job that waits in the queue
/// may come too late for its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    now: DateTime<Utc>,
    /// `None` if the clock stands still until a test moves it.
    read: Option<Instant>,
}

impl Moment {
    pub(super) fn new(now: DateTime<Utc>, is_clock_real: bool) -> Self {
        Self {
            now,
            read: is_clock_real.then(Instant::now),
        }
    }

    /// Returns the time that was read.
    pub(super) fn then(&self) -> DateTime<Utc> {
        self.now
    }

    /// Returns the present time.
    pub(super) fn present(&self) -> DateTime<Utc> {
        let passed = self.read.map_or(Duration::ZERO, |read| read.elapsed());
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        self.now.checked_add_signed(passed).unwrap_or(self.now)
    }
}

/// An update of one session, with the row as its request last saw it.
pub(super) struct Update {
    pub(super) session: Arc<SessionRecord>,
    pub(super) now: Moment,
    pub(super) apply: Apply,
}

/// A session to insert, and the request that makes it.
pub(super) struct Creation {
    pub(super) new: Box<NewSession>,
    pub(super) context: EventContext,
}

/// The rotation of a session.
pub(super) struct Rotation {
    /// The session as the request last saw it.
    pub(super) previous: Box<SessionRecord>,
    pub(super) new_token: RotateSession,
    pub(super) context: EventContext,
}

/// The deletion of a session by its handle.
pub(super) struct Deletion {
    pub(super) id: SessionHandle,
    pub(super) reason: EndReason,
    pub(super) facts: Facts,
}

pub(super) type LoadJob = Job<SessionKey, Option<Arc<SessionRecord>>>;
pub(super) type CreateJob = Job<Creation, Untold>;
/// Answered with `None` if the session is gone, has a new token, or has expired.
pub(super) type UpdateJob = Job<Update, Option<Updated>>;
/// Answered with `None` if the session is gone, has another token, or has expired.
pub(super) type RotateJob = Job<Rotation, Option<Untold>>;
pub(super) type DeleteJob = Job<Deletion, bool>;

/// A job that changes rows.
pub(super) enum WriteJob {
    Create(CreateJob),
    Update(UpdateJob),
    Rotate(RotateJob),
    Delete(DeleteJob),
}

impl WriteJob {
    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Create(job) => job.deadline,
            Self::Update(job) => job.deadline,
            Self::Rotate(job) => job.deadline,
            Self::Delete(job) => job.deadline,
        }
    }
}
