//! The way from async requests to the blocking store: the one place where it happens.
//!
//! A call takes a permit, of which there are as many as connections, and runs on a blocking
//! thread. Waiting costs no thread, is first come first served, and ends at the deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rocket::tokio::sync::{Mutex, Semaphore};
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout_at;
use uuid::Uuid;

use super::counters::{Counters, count};
use super::error::SessionError;
use super::expiry::is_expired;
use crate::store::{
    NewSession, RotateSession, SaveOutcome, SaveSession, SessionRecord, SessionStore, StoreError,
    TouchSession,
};

/// Updates of one session in this process take turns; sessions share this many queues.
const LANES: usize = 64;

/// What an update makes of a row's data. Called again when another update was faster.
pub(crate) type Apply = Box<dyn FnMut(&SessionRecord) -> Result<Change, SessionError> + Send>;

/// What a row's data became.
#[derive(Debug)]
pub(crate) enum Change {
    Unchanged,
    Data(String),
}

pub(crate) struct Pipeline {
    store: Arc<dyn SessionStore>,
    counters: Arc<Counters>,
    permits: Arc<Semaphore>,
    lanes: Vec<Mutex<()>>,
    timeout: Duration,
}

impl Pipeline {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        counters: Arc<Counters>,
        timeout: Duration,
    ) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(store.concurrency())),
            lanes: (0..LANES).map(|_| Mutex::new(())).collect(),
            store,
            counters,
            timeout,
        }
    }

    /// The row of one session.
    pub(crate) async fn load(&self, id: Uuid) -> Result<Option<SessionRecord>, SessionError> {
        let job = move |store: &dyn SessionStore| Ok(store.load(&[id])?.pop());
        self.run(self.deadline(), job).await
    }

    /// Inserts a session.
    pub(crate) async fn create(&self, new: NewSession) -> Result<(), SessionError> {
        let job = move |store: &dyn SessionStore| Ok(store.create(&[new])?);
        self.run(self.deadline(), job).await
    }

    /// Applies a change to the newest data of a session and returns what is stored then; `None`
    /// when the session is gone, has a new token, or has expired.
    pub(crate) async fn update(
        &self,
        session: SessionRecord,
        now: DateTime<Utc>,
        apply: Apply,
    ) -> Result<Option<SessionRecord>, SessionError> {
        let deadline = self.deadline();
        let lane = usize::from(session.session_id.as_bytes()[15]) % LANES;
        let Ok(_turn) = timeout_at(deadline.into(), self.lanes[lane].lock()).await else {
            return Err(self.failed(SessionError::Timeout));
        };
        let counters = Arc::clone(&self.counters);
        let job = move |store: &dyn SessionStore| {
            compare_and_swap(store, &counters, session, now, apply, deadline)
        };
        self.run(deadline, job).await
    }

    /// Records activity, without making anybody wait. Losing one does little harm.
    pub(crate) fn touch(self: &Arc<Self>, touch: TouchSession) {
        let pipeline = Arc::clone(self);
        rocket::tokio::spawn(async move {
            let job = move |store: &dyn SessionStore| Ok(store.touch(&[touch])?);
            match pipeline.run(pipeline.deadline(), job).await {
                Ok(0) => {}
                Ok(_) => count(&pipeline.counters.touched),
                Err(error) => tracing::warn!("a session's activity was not recorded: {error}"),
            }
        });
    }

    /// Gives a session a new token; whether it was there.
    pub(crate) async fn rotate(&self, rotation: RotateSession) -> Result<bool, SessionError> {
        let job = move |store: &dyn SessionStore| Ok(store.rotate(&[rotation])?.pop());
        Ok(self.run(self.deadline(), job).await? == Some(true))
    }

    /// Deletes a session by its public handle; whether it was there.
    pub(crate) async fn delete(&self, id: String) -> Result<bool, SessionError> {
        let job = move |store: &dyn SessionStore| Ok(store.delete(&[id])? > 0);
        self.run(self.deadline(), job).await
    }

    /// Runs `job` on a blocking thread, if a connection is free before `deadline`. A job that has
    /// begun is not interrupted; after the deadline nobody waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let permits = Arc::clone(&self.permits);
        let store = Arc::clone(&self.store);
        let answer = timeout_at(deadline.into(), async move {
            let permit = permits.acquire_owned().await;
            spawn_blocking(move || {
                let _permit = permit;
                if Instant::now() >= deadline {
                    return Err(SessionError::Timeout);
                }
                job(&*store)
            })
            .await
        })
        .await;
        let result = match answer {
            Ok(Ok(result)) => result,
            // The panic of an update's closure belongs to the request that brought it.
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(SessionError::Timeout),
            },
            Err(_) => Err(SessionError::Timeout),
        };
        result.map_err(|error| self.failed(error))
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn failed(&self, error: SessionError) -> SessionError {
        if matches!(error, SessionError::Unavailable(_) | SessionError::Timeout) {
            count(&self.counters.failed);
            tracing::warn!("{error}");
        }
        error
    }
}

/// Applies until the version that was read is the one that is written. The first try uses the
/// request's own snapshot, which is the newest data unless somebody else wrote.
fn compare_and_swap(
    store: &dyn SessionStore,
    counters: &Counters,
    snapshot: SessionRecord,
    now: DateTime<Utc>,
    mut apply: Apply,
    deadline: Instant,
) -> Result<Option<SessionRecord>, SessionError> {
    let session_id = snapshot.session_id;
    let mut current = snapshot;
    let mut is_newest = false;
    loop {
        match apply(&current)? {
            Change::Unchanged if is_newest => return Ok(Some(current)),
            Change::Unchanged => {}
            Change::Data(data) => {
                let write = SaveSession {
                    session_id,
                    version: current.version,
                    data,
                    now,
                };
                if is_saved(store, &write)? {
                    count(&counters.updated);
                    current.data = write.data;
                    current.version += 1;
                    current.updated_at = now;
                    return Ok(Some(current));
                }
                count(&counters.conflicts);
            }
        }
        if Instant::now() >= deadline {
            return Err(SessionError::Timeout);
        }
        match store.load(&[session_id])?.pop() {
            Some(newest) if !is_expired(&newest, now) => current = newest,
            _ => return Ok(None),
        }
        is_newest = true;
    }
}

fn is_saved(store: &dyn SessionStore, write: &SaveSession) -> Result<bool, SessionError> {
    match store.save(std::slice::from_ref(write)) {
        Ok(outcomes) => Ok(outcomes == [SaveOutcome::Saved]),
        // The database rolled it back in favour of another transaction.
        Err(StoreError::Serialization(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
