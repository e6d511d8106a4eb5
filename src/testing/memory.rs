//! [`MemoryStore`]: sessions in the memory of this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::store::{
    ListSessions, LoginOutcome, LoginSession, NewSession, Revocation, RotateSession, SaveOutcome,
    SessionHandle, SessionRecord, SessionStore, StoreError, SweepBatch, SweepOutcome, UserId,
    Withdrawal, WriteBatch, WriteOutcome,
};

/// A store of sessions in the memory of this process, for tests. It keeps no statistics.
///
/// Any user can sign in, as if the application kept the users, unless
/// [`with_users`](Self::with_users) names them.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use rocket_diesel_sessions::Sessions;
/// use rocket_diesel_sessions::testing::MemoryStore;
///
/// let store = Arc::new(MemoryStore::default());
/// let sessions = Sessions::<Vec<String>>::fairing().store(store);
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    sessions: BTreeMap<SessionHandle, SessionRecord>,
    /// The handles by the lookup halves of the tokens.
    tokens: HashMap<Uuid, SessionHandle>,
    /// The users and their password hashes, if they are known.
    users: Option<BTreeMap<UserId, Option<String>>>,
}

impl MemoryStore {
    /// Creates a store in which only these users exist. They have no passwords.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::testing::{MemoryStore, conformance};
    ///
    /// let store = MemoryStore::with_users(["ada", "bob"]);
    /// conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
    /// ```
    pub fn with_users<U: Into<UserId>>(users: impl IntoIterator<Item = U>) -> Self {
        let users = users.into_iter().map(|id| (id.into(), None));
        let store = Self::default();
        store.0.lock().users = Some(users.collect());
        store
    }

    /// Adds a user with a password hash, or changes a user's. From then on, only users who were
    /// added exist.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::testing::MemoryStore;
    ///
    /// let store = MemoryStore::default();
    /// store.add_user("ada", "$argon2id$v=19$…");
    /// ```
    pub fn add_user(&self, id: impl Into<UserId>, password_hash: impl Into<String>) {
        let mut tables = self.0.lock();
        let users = tables.users.get_or_insert_default();
        users.insert(id.into(), Some(password_hash.into()));
    }

    /// Removes a user, whose sessions end. If any user could sign in, that stays so.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::testing::MemoryStore;
    ///
    /// let store = MemoryStore::with_users(["ada"]);
    /// store.remove_user("ada");
    /// ```
    pub fn remove_user(&self, id: impl Into<UserId>) {
        let id = id.into();
        let mut tables = self.0.lock();
        if let Some(users) = &mut tables.users {
            users.remove(&id);
        }
        tables.end(usize::MAX, |row| row.user_id.as_ref() == Some(&id));
    }
}

impl Tables {
    fn by_token(&self, session_id: Uuid) -> Option<&SessionRecord> {
        self.sessions.get(self.tokens.get(&session_id)?)
    }

    /// Stores a row in place of the one with its handle.
    fn put(&mut self, row: SessionRecord) {
        self.remove(&row.id);
        self.tokens.insert(row.session_id, row.id.clone());
        self.sessions.insert(row.id.clone(), row);
    }

    fn remove(&mut self, handle: &SessionHandle) {
        if let Some(row) = self.sessions.remove(handle) {
            self.tokens.remove(&row.session_id);
        }
    }

    /// Replaces the row with this token if `change` returns one. Returns whether it did.
    fn change(
        &mut self,
        session_id: Uuid,
        change: impl FnOnce(SessionRecord) -> Option<SessionRecord>,
    ) -> bool {
        let changed = self.by_token(session_id).cloned().and_then(change);
        let is_changed = changed.is_some();
        if let Some(row) = changed {
            self.put(row);
        }
        is_changed
    }

    /// Ends at most `limit` sessions that `is_meant`, oldest token first; returns their handles.
    fn end(
        &mut self,
        limit: usize,
        is_meant: impl Fn(&SessionRecord) -> bool,
    ) -> Vec<SessionHandle> {
        let mut meant: Vec<_> = self.sessions.values().filter(|row| is_meant(row)).collect();
        meant.sort_by_key(|row| row.session_id);
        let handles: Vec<_> = meant.iter().take(limit).map(|row| row.id.clone()).collect();
        for handle in &handles {
            self.remove(handle);
        }
        handles
    }

    /// Checks that all new sessions can be inserted together.
    fn check(&self, creates: &[NewSession]) -> Result<(), StoreError> {
        for (index, new) in creates.iter().enumerate() {
            let is_taken = self.sessions.contains_key(&new.id)
                || self.tokens.contains_key(&new.session_id)
                || creates[..index]
                    .iter()
                    .any(|other| other.id == new.id || other.session_id == new.session_id);
            if is_taken {
                return Err(StoreError::constraint("the id is taken"));
            }
            if !new.user_id.as_ref().is_none_or(|user| self.has_user(user)) {
                return Err(StoreError::constraint("the user does not exist"));
            }
        }
        Ok(())
    }

    fn has_user(&self, user: &UserId) -> bool {
        let users = self.users.as_ref();
        users.is_none_or(|users| users.contains_key(user))
    }

    /// Returns whether the user exists and has the password hash of the login, if it has one.
    fn may_sign_in(&self, login: &LoginSession) -> bool {
        let Some(users) = &self.users else {
            // Without users, there is no hash to compare with.
            return login.password_hash.is_none();
        };
        let hash = login.password_hash.as_ref();
        let user = users.get(&login.user_id);
        user.is_some_and(|stored| hash.is_none() || hash == stored.as_ref())
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        let tables = self.0.lock();
        let distinct: BTreeSet<&Uuid> = session_ids.iter().collect();
        let rows = distinct.into_iter().filter_map(|id| tables.by_token(*id));
        Ok(rows.cloned().collect())
    }

    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.0.lock().sessions.get(handle).cloned())
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError> {
        let mut tables = self.0.lock();
        // Only this can fail, so that all of the batch is written or nothing.
        tables.check(batch.creates)?;
        for new in batch.creates {
            tables.put(new.clone().into_record());
        }
        let mut written = WriteOutcome::default();
        for save in batch.saves {
            let is_saved = tables.change(save.session_id, |row| save.saved(row));
            written.saved.push(if is_saved {
                SaveOutcome::Saved
            } else {
                SaveOutcome::Refused
            });
        }
        for touch in batch.touches {
            let is_touched = tables.change(touch.session_id, |row| touch.touched(row));
            written.touched += usize::from(is_touched);
        }
        Ok(written)
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        let mut tables = self.0.lock();
        let rotate = |it: &RotateSession| tables.change(it.session_id, |row| it.rotated(row));
        Ok(rotations.iter().map(rotate).collect())
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        Ok(self.login_from(login)?.0)
    }

    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        let mut tables = self.0.lock();
        if !tables.may_sign_in(login) {
            return Ok((LoginOutcome::UserRefused, None));
        }
        let concerned = tables.sessions.values().filter(|row| login.concerns(row));
        let changes = login.changes(&concerned.cloned().collect::<Vec<_>>())?;
        for handle in changes.ended() {
            tables.remove(handle);
        }
        if let Some(row) = changes.session {
            tables.put(row);
        }
        Ok((changes.outcome, changes.before))
    }

    fn withdraw(
        &self,
        withdrawals: &[Withdrawal],
        _now: DateTime<Utc>,
    ) -> Result<Vec<bool>, StoreError> {
        let mut tables = self.0.lock();
        let withdraw = |it: &Withdrawal| {
            let row = tables.by_token(it.session_id).filter(|row| row.id == it.id);
            let Some(row) = row.cloned() else {
                return false;
            };
            match it.restored(row) {
                Some(restored) => tables.put(restored),
                None => tables.remove(&it.id),
            }
            true
        };
        Ok(withdrawals.iter().map(withdraw).collect())
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError> {
        let mut tables = self.0.lock();
        let acting = revocation.by.and_then(|by| tables.by_token(by.session_id));
        if !revocation.is_allowed_by(acting) {
            return Ok(None);
        }
        Ok(Some(tables.end(usize::MAX, |row| revocation.ends(row))))
    }

    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError> {
        let mut tables = self.0.lock();
        Ok(tables.end(usize::MAX, |row| handles.contains(&row.id)))
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError> {
        let mut tables = self.0.lock();
        Ok(tables.end(limit as usize, |row| row.created_at <= now))
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        let tables = self.0.lock();
        let listed = tables.sessions.values().filter(|row| query.lists(row));
        let mut page: Vec<_> = listed.cloned().collect();
        page.sort_by_key(|row| std::cmp::Reverse(row.session_id));
        page.truncate(query.limit as usize);
        Ok(page)
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError> {
        let mut tables = self.0.lock();
        let handles = tables.end(batch.limit as usize, |row| row.expires_at <= batch.now);
        Ok(SweepOutcome {
            deleted: handles.len(),
            handles,
            ..SweepOutcome::default()
        })
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance;

    #[test]
    fn the_store_conforms() {
        let store = MemoryStore::default();
        conformance::run(&store).unwrap();
        conformance::run_with_external_users(&store, ["1", "2"]).unwrap();
        let store = MemoryStore::with_users(["ada", "bob"]);
        conformance::run(&store).unwrap();
        conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
    }

    #[test]
    fn a_removed_user_has_no_sessions_and_cannot_sign_in() {
        let store = MemoryStore::with_users(["ada"]);
        let mut login = LoginSession::new("ada", crate::testing::new_session(DateTime::UNIX_EPOCH));
        let created = LoginOutcome::Created(Vec::new());
        assert_eq!(store.login(&login).unwrap(), created);
        store.remove_user("ada");
        assert_eq!(store.find(&login.fresh.id).unwrap(), None);
        assert_eq!(store.login(&login).unwrap(), LoginOutcome::UserRefused);
        store.add_user("ada", "hash");
        login.password_hash = Some("hash".to_owned());
        assert_eq!(store.login(&login).unwrap(), created);
    }
}
