//! A wrapper around a store that passes all calls through one method.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::SessionHandle;
use rocket_diesel_sessions::store::{
    DeleteOutcome, ListSessions, LoginOutcome, LoginSession, Revocation, RotateOutcome,
    RotateSession, SessionRecord, SessionStore, StoreError, SweepBatch, SweepOutcome, Withdrawal,
    WriteBatch, WriteOutcome,
};
use uuid::Uuid;

/// The call that is about to be made, as far as tests distinguish calls.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    /// A load of this many sessions.
    Load(usize),
    Write(&'a WriteBatch<'a>),
    Login,
    Rotate,
    Withdraw,
    Probe,
    FindLive,
    Other,
}

/// Behaviour around the calls of a store.
pub(crate) trait Around: Send + Sync + 'static {
    fn inner(&self) -> &dyn SessionStore;

    /// Makes the call, or does something else instead.
    fn around<T>(
        &self,
        call: Call<'_>,
        run: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError>;

    /// Returns the time of the database's clock.
    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.inner().clock()
    }
}

/// The store that an [`Around`] makes.
pub(crate) struct Wrapped<A>(pub(super) A);

impl<A> Deref for Wrapped<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A: Around> SessionStore for Wrapped<A> {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        self.around(Call::Load(session_ids.len()), |store| {
            store.load(session_ids)
        })
    }

    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError> {
        self.around(Call::Other, |store| store.find(handle))
    }

    fn find_live(
        &self,
        ids: &[SessionHandle],
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionHandle>, StoreError> {
        self.around(Call::FindLive, |store| store.find_live(ids, now))
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError> {
        self.around(Call::Write(batch), |store| store.write(batch))
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.around(Call::Rotate, |store| store.rotate(rotations))
    }

    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        self.around(Call::Rotate, |store| store.try_rotate(rotations))
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        self.around(Call::Login, |store| store.login(login))
    }

    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        self.around(Call::Login, |store| store.login_from(login))
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError> {
        self.around(Call::Other, |store| store.revoke(revocation))
    }

    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError> {
        self.around(Call::Other, |store| store.delete(handles))
    }

    fn try_delete(&self, handles: &[SessionHandle]) -> Result<DeleteOutcome, StoreError> {
        self.around(Call::Other, |store| store.try_delete(handles))
    }

    fn withdraw(&self, all: &[Withdrawal], now: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        self.around(Call::Withdraw, |store| store.withdraw(all, now))
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError> {
        self.around(Call::Other, |store| store.clear(now, limit))
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        self.around(Call::Other, |store| store.list(query))
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError> {
        self.around(Call::Other, |store| store.sweep(batch))
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.around(Call::Other, SessionStore::ping)
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.around(Call::Probe, SessionStore::probe)
    }

    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Around::clock(&self.0)
    }

    fn max_writers(&self) -> usize {
        self.inner().max_writers()
    }
}
