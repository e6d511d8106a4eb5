//! A real store that calls a test first.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::{
    DieselStore, ListSessions, LoginOutcome, LoginSession, Revocation, RotateSession,
    SessionRecord, SessionStore, StoreError, SweepBatch, Swept, WriteBatch, Written,
};
use uuid::Uuid;

/// A call that is about to be made.
pub(crate) enum Call<'a> {
    /// Of so many sessions.
    Load(usize),
    Write(&'a WriteBatch<'a>),
}

/// Runs `before` before each load and write of the store under it.
pub(crate) struct HookedStore {
    inner: Arc<DieselStore>,
    before: Box<dyn Fn(Call<'_>) + Send + Sync>,
    clock: Option<DateTime<Utc>>,
}

impl HookedStore {
    pub(crate) fn new(
        inner: Arc<DieselStore>,
        before: impl Fn(Call<'_>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let before = Box::new(before);
        let clock = None;
        Arc::new(Self {
            inner,
            before,
            clock,
        })
    }

    /// A store whose database has this clock.
    pub(crate) fn with_clock(inner: Arc<DieselStore>, clock: DateTime<Utc>) -> Self {
        Self {
            inner,
            before: Box::new(|_| {}),
            clock: Some(clock),
        }
    }
}

impl SessionStore for HookedStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        (self.before)(Call::Load(session_ids.len()));
        self.inner.load(session_ids)
    }

    fn find(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.find(id)
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<Written, StoreError> {
        (self.before)(Call::Write(batch));
        self.inner.write(batch)
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.inner.rotate(rotations)
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        self.inner.login(login)
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<String>>, StoreError> {
        self.inner.revoke(revocation)
    }

    fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        self.inner.delete(ids)
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<String>, StoreError> {
        self.inner.clear(now, limit)
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.list(query)
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<Swept, StoreError> {
        self.inner.sweep(batch)
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping()
    }

    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.clock
            .map_or_else(|| self.inner.clock(), |clock| Ok(Some(clock)))
    }

    fn max_writers(&self) -> usize {
        self.inner.max_writers()
    }
}
