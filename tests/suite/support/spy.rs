//! A real store that lets a test stand in the middle of logins, rotations and undos.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::{
    Deleted, DieselStore, ListSessions, LoginOutcome, LoginSession, Revocation, RotateOutcome,
    RotateSession, SessionRecord, SessionStore, StoreError, SweepBatch, Swept, Withdrawal,
    WriteBatch, Written,
};
use uuid::Uuid;

use super::Database;

/// Where a call of the store is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum At {
    BeforeLogin,
    AfterRotate,
    BeforeWithdraw,
    BeforeLoad,
    Probe,
}

/// Runs a test's hook at some of its calls, which may hold the call up or make it fail.
pub(crate) struct Spy {
    inner: Arc<DieselStore>,
    hook: Box<dyn Fn(At) -> Result<(), StoreError> + Send + Sync>,
}

impl Spy {
    pub(crate) fn new(
        database: &Database,
        hook: impl Fn(At) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: database.store(),
            hook: Box::new(hook),
        })
    }
}

impl SessionStore for Spy {
    fn load(&self, ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        (self.hook)(At::BeforeLoad)?;
        self.inner.load(ids)
    }

    fn find(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.find(id)
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<Written, StoreError> {
        self.inner.write(batch)
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.inner.rotate(rotations)
    }

    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        let outcome = self.inner.try_rotate(rotations);
        (self.hook)(At::AfterRotate)?;
        outcome
    }

    fn try_delete(&self, ids: &[String]) -> Result<Deleted, StoreError> {
        self.inner.try_delete(ids)
    }

    fn withdraw(&self, all: &[Withdrawal], now: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        (self.hook)(At::BeforeWithdraw)?;
        self.inner.withdraw(all, now)
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        Ok(self.login_from(login)?.0)
    }

    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        (self.hook)(At::BeforeLogin)?;
        self.inner.login_from(login)
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

    fn probe(&self) -> Result<(), StoreError> {
        (self.hook)(At::Probe)?;
        self.inner.ping()
    }

    fn max_writers(&self) -> usize {
        self.inner.max_writers()
    }
}
