//! A real store that calls a test first.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::{
    DieselStore, ListSessions, RotateSession, SessionRecord, SessionStore, StoreError, WriteBatch,
    Written,
};
use uuid::Uuid;

/// Runs `before_write` before each write of the store under it.
pub(crate) struct HookedStore {
    pub(crate) inner: Arc<DieselStore>,
    pub(crate) before_write: Box<dyn Fn(&WriteBatch<'_>) + Send + Sync>,
}

impl SessionStore for HookedStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.load(session_ids)
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<Written, StoreError> {
        (self.before_write)(batch);
        self.inner.write(batch)
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.inner.rotate(rotations)
    }

    fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        self.inner.delete(ids)
    }

    fn delete_all(&self) -> Result<usize, StoreError> {
        self.inner.delete_all()
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.list(query)
    }

    fn sweep(&self, now: DateTime<Utc>, limit: u32) -> Result<usize, StoreError> {
        self.inner.sweep(now, limit)
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping()
    }

    fn max_writers(&self) -> usize {
        self.inner.max_writers()
    }
}
