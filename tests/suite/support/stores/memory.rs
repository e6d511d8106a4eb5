//! A store in memory: the shortest correct implementation of the contract, with which the others
//! can be compared.

mod login;
mod users;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::{
    ListSessions, LoginOutcome, LoginSession, NewSession, Revocation, RevokeScope, RotateSession,
    SaveOutcome, SaveSession, SessionRecord, SessionStore, StoreError, SweepBatch, SweepOutcome,
    TouchSession, UserRecord, UserSettings, Withdrawal, WriteBatch, WriteOutcome,
};
use rocket_diesel_sessions::testing::conformance;
use rocket_diesel_sessions::{SessionHandle, UserId};
use uuid::Uuid;

/// Sessions and users in this process.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Tables>);

#[derive(Clone, Debug, Default)]
struct Tables {
    /// The sessions by handle.
    sessions: BTreeMap<SessionHandle, SessionRecord>,
    /// The users by id.
    users: BTreeMap<UserId, UserRecord>,
    /// Their settings.
    settings: BTreeMap<UserId, UserSettings>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transaction. If it fails, nothing is changed.
    fn transaction<T>(
        &self,
        run: impl FnOnce(&mut Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tables = self.tables();
        let mut changed = tables.clone();
        let result = run(&mut changed)?;
        *tables = changed;
        Ok(result)
    }
}

impl Tables {
    fn by_token(&mut self, session_id: Uuid) -> Option<&mut SessionRecord> {
        let mut sessions = self.sessions.values_mut();
        sessions.find(|row| row.session_id == session_id)
    }

    fn live(&mut self, session_id: Uuid, now: DateTime<Utc>) -> Option<&mut SessionRecord> {
        self.by_token(session_id).filter(|row| row.expires_at > now)
    }

    fn insert(&mut self, new: NewSession) -> Result<(), StoreError> {
        let is_taken =
            self.sessions.contains_key(&new.id) || self.by_token(new.session_id).is_some();
        let user_is_missing = new
            .user_id
            .as_ref()
            .is_some_and(|id| !self.users.contains_key(id));
        if is_taken || user_is_missing {
            return Err(StoreError::constraint(
                "an id is taken, or a user does not exist",
            ));
        }
        self.sessions.insert(new.id.clone(), new.into_record());
        Ok(())
    }

    fn save(&mut self, save: &SaveSession) -> SaveOutcome {
        let row = self.live(save.session_id, save.now);
        let Some(row) = row.filter(|row| row.version == save.version) else {
            return SaveOutcome::Refused;
        };
        row.data.clone_from(&save.data);
        row.version += 1;
        row.updated_at = save.now;
        SaveOutcome::Saved
    }

    fn touch(&mut self, touch: &TouchSession) -> usize {
        let Some(row) = self.live(touch.session_id, touch.now) else {
            return 0;
        };
        let deadline = touch.expires_at.min(row.absolute_expires_at);
        row.expires_at = row.expires_at.max(deadline);
        if row.last_seen_at <= touch.now {
            row.last_seen_at = touch.now;
            if touch.user_agent.is_some() {
                row.user_agent.clone_from(&touch.user_agent);
            }
            if touch.ip.is_some() {
                row.ip.clone_from(&touch.ip);
            }
        }
        1
    }

    fn rotate(&mut self, rotation: &RotateSession) -> bool {
        let Some(row) = self.live(rotation.session_id, rotation.now) else {
            return false;
        };
        row.session_id = rotation.new_session_id;
        row.token_hash = rotation.new_token_hash;
        row.updated_at = rotation.now;
        true
    }

    fn withdraw(&mut self, withdrawal: &Withdrawal) -> bool {
        let row = self.sessions.get_mut(&withdrawal.id);
        let Some(row) = row.filter(|row| row.session_id == withdrawal.session_id) else {
            return false;
        };
        match withdrawal.restored(row.clone()) {
            Some(restored) => *row = restored,
            None => drop(self.sessions.remove(&withdrawal.id)),
        }
        true
    }

    /// Deletes the sessions that `is_meant`, at most `limit`, oldest token first.
    fn end(
        &mut self,
        limit: usize,
        is_meant: impl Fn(&SessionRecord) -> bool,
    ) -> Vec<SessionHandle> {
        let mut meant: Vec<&SessionRecord> =
            self.sessions.values().filter(|row| is_meant(row)).collect();
        meant.sort_by_key(|row| row.session_id);
        let ids: Vec<SessionHandle> = meant.iter().take(limit).map(|row| row.id.clone()).collect();
        for id in &ids {
            self.sessions.remove(id);
        }
        ids
    }

    fn revoke(&mut self, revocation: &Revocation) -> Option<Vec<SessionHandle>> {
        let user = Some(&revocation.user_id);
        if let Some(by) = revocation.by {
            self.live(by.session_id, by.now)
                .filter(|row| row.user_id.as_ref() == user)?;
        }
        Some(self.end(usize::MAX, |row| {
            row.user_id.as_ref() == user
                && revocation
                    .kind
                    .as_ref()
                    .is_none_or(|kind| row.kind == *kind)
                && match &revocation.scope {
                    RevokeScope::One(id) => row.id == *id,
                    RevokeScope::AllBut(id) => row.id != *id,
                    RevokeScope::All => true,
                }
        }))
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        let tables = self.tables();
        let asked = |row: &&SessionRecord| session_ids.contains(&row.session_id);
        Ok(tables.sessions.values().filter(asked).cloned().collect())
    }

    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.tables().sessions.get(handle).cloned())
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError> {
        self.transaction(|tables| {
            for new in batch.creates {
                tables.insert(new.clone())?;
            }
            let mut written = WriteOutcome::default();
            written.saved = batch.saves.iter().map(|save| tables.save(save)).collect();
            written.touched = batch.touches.iter().map(|touch| tables.touch(touch)).sum();
            Ok(written)
        })
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        let mut tables = self.tables();
        Ok(rotations.iter().map(|one| tables.rotate(one)).collect())
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        self.transaction(|tables| tables.login(login))
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError> {
        Ok(self.tables().revoke(revocation))
    }

    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError> {
        Ok(self
            .tables()
            .end(usize::MAX, |row| handles.contains(&row.id)))
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError> {
        let limit = limit as usize;
        Ok(self.tables().end(limit, |row| row.created_at <= now))
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        let tables = self.tables();
        let is_listed = |row: &&SessionRecord| {
            row.expires_at > query.now
                && query.after.is_none_or(|after| row.session_id < after)
                && (query.user_id.is_none() || row.user_id == query.user_id)
                && query.kind.as_ref().is_none_or(|kind| row.kind == *kind)
        };
        let mut page: Vec<_> = tables
            .sessions
            .values()
            .filter(is_listed)
            .cloned()
            .collect();
        page.sort_by_key(|row| std::cmp::Reverse(row.session_id));
        page.truncate(query.limit as usize);
        Ok(page)
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError> {
        let limit = batch.limit as usize;
        let handles = self.tables().end(limit, |row| row.expires_at <= batch.now);
        let mut swept = SweepOutcome::default();
        swept.deleted = handles.len();
        if batch.handles {
            swept.handles = handles;
        }
        Ok(swept)
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn withdraw(
        &self,
        withdrawals: &[Withdrawal],
        _: DateTime<Utc>,
    ) -> Result<Vec<bool>, StoreError> {
        let mut tables = self.tables();
        Ok(withdrawals.iter().map(|one| tables.withdraw(one)).collect())
    }
}

#[test]
fn the_store_in_memory_conforms() {
    let store = MemoryStore::default();
    conformance::run(&store).unwrap();
    for name in ["ada", "bob"] {
        store.add(name);
    }
    conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
}
