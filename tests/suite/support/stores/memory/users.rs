//! The users of the store in memory.

use chrono::DateTime;
use rocket_diesel_sessions::store::{
    ActingSession, LastAdmin, PasswordChange, Revocation, RevokeScope, SettingsChange, StoreError,
    UserAction, UserChange, UserOutcome, UserRecord, UserSettings, UserStore,
};
use rocket_diesel_sessions::{SessionHandle, UserId};

use super::{MemoryStore, Tables};
use crate::support::altered;

impl MemoryStore {
    /// Adds a user whose id, name and password hash are the same text.
    pub(crate) fn add(&self, name: &str) {
        let user = UserRecord::new(name, name, DateTime::UNIX_EPOCH);
        let user = altered(user, |user| name.clone_into(&mut user.password_hash));
        assert!(self.add_user(&user).unwrap(), "{name} exists");
    }
}

impl Tables {
    fn end_all(
        &mut self,
        user_id: &UserId,
        by: Option<ActingSession>,
    ) -> Option<Vec<SessionHandle>> {
        let revocation = Revocation::new(user_id, RevokeScope::All);
        self.revoke(&altered(revocation, |revocation| revocation.by = by))
    }

    /// Returns the reason why the user must remain an active administrator, or that there is no
    /// such user.
    fn refusal(&self, id: &UserId, last_admin: LastAdmin) -> Option<UserOutcome> {
        let is_active_admin = |user: &&UserRecord| user.is_admin && user.disabled_at.is_none();
        if !self.users.contains_key(id) {
            return Some(UserOutcome::NoUser);
        }
        let admins: Vec<&UserRecord> = self.users.values().filter(is_active_admin).collect();
        let is_last = last_admin == LastAdmin::Keep && admins.len() == 1 && admins[0].id == *id;
        is_last.then_some(UserOutcome::LastAdmin)
    }

    /// Changes a user. The store keeps no events.
    fn change_user(&mut self, change: &UserChange) -> UserOutcome {
        let (id, now) = (&change.user_id, change.now);
        let last_admin = match change.action {
            UserAction::Promote | UserAction::Enable => LastAdmin::MayGo,
            _ => change.last_admin,
        };
        if let Some(refused) = self.refusal(id, last_admin) {
            return refused;
        }
        let ended = match change.action {
            UserAction::Disable | UserAction::Delete => self.end_all(id, change.by),
            _ => Some(Vec::new()),
        };
        let Some(ended) = ended else {
            return UserOutcome::SessionEnded;
        };
        if change.action == UserAction::Delete {
            self.settings.remove(id);
            self.users.remove(id);
            return UserOutcome::Done(ended);
        }
        let Some(user) = self.users.get_mut(id) else {
            return UserOutcome::NoUser;
        };
        let was = (user.is_admin, user.disabled_at);
        match change.action {
            UserAction::Promote => user.is_admin = true,
            UserAction::Demote => user.is_admin = false,
            UserAction::Disable => {
                user.disabled_at.get_or_insert(now);
            }
            UserAction::Enable | UserAction::Delete => user.disabled_at = None,
        }
        if was == (user.is_admin, user.disabled_at) {
            return UserOutcome::Unchanged(ended);
        }
        user.updated_at = now;
        UserOutcome::Done(ended)
    }

    fn change_password(&mut self, change: &PasswordChange) -> UserOutcome {
        let is_right = self.users.get(&change.user_id).is_some_and(|user| {
            user.disabled_at.is_none() && user.password_hash == change.old_hash
        });
        if !is_right {
            return UserOutcome::NoUser;
        }
        let scope = match &change.rotation {
            None => RevokeScope::All,
            Some(rotation) => {
                let row = self.sessions.values().find(|row| {
                    row.session_id == rotation.session_id
                        && row.user_id.as_ref() == Some(&change.user_id)
                });
                let Some(id) = row.map(|row| row.id.clone()) else {
                    return UserOutcome::SessionEnded;
                };
                if !self.rotate(rotation) {
                    return UserOutcome::SessionEnded;
                }
                RevokeScope::AllBut(id)
            }
        };
        if let Some(user) = self.users.get_mut(&change.user_id) {
            user.password_hash.clone_from(&change.new_hash);
            user.updated_at = change.now;
        }
        let ended = self.revoke(&Revocation::new(change.user_id.clone(), scope));
        UserOutcome::Done(ended.unwrap_or_default())
    }
}

impl UserStore for MemoryStore {
    fn user(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        Ok(self.tables().users.get(id).cloned())
    }

    fn user_with_settings(
        &self,
        id: &UserId,
    ) -> Result<Option<(UserRecord, UserSettings)>, StoreError> {
        let tables = self.tables();
        let settings = tables.settings.get(id).cloned().unwrap_or_default();
        Ok(tables.users.get(id).map(|user| (user.clone(), settings)))
    }

    fn change_settings(&self, id: &UserId, change: &SettingsChange) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if !tables.users.contains_key(id) {
            return Ok(false);
        }
        let stored = tables.settings.entry(id.clone()).or_default();
        let write = |field: &mut Option<String>, new: &Option<String>| {
            if new.is_some() && !(change.only_unset && field.is_some()) {
                field.clone_from(new);
            }
        };
        write(&mut stored.display_name, &change.settings.display_name);
        write(&mut stored.theme, &change.settings.theme);
        Ok(true)
    }

    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        let tables = self.tables();
        let mut users = tables.users.values();
        Ok(users.find(|user| user.username == username).cloned())
    }

    fn users(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        let tables = self.tables();
        let users = ids.iter().filter_map(|id| tables.users.get(id));
        Ok(users.cloned().collect())
    }

    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        let tables = self.tables();
        let is_listed = |user: &&UserRecord| after.is_none_or(|after| *user.username > *after);
        let mut users: Vec<_> = tables.users.values().filter(is_listed).cloned().collect();
        users.sort_by(|one, other| one.username.cmp(&other.username));
        users.truncate(limit as usize);
        Ok(users)
    }

    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let mut users = tables.users.values();
        let is_taken = users.any(|other| other.id == user.id || other.username == user.username);
        if !is_taken {
            tables.users.insert(user.id.clone(), user.clone());
        }
        Ok(!is_taken)
    }

    fn change_password(&self, change: &PasswordChange) -> Result<UserOutcome, StoreError> {
        Ok(self.tables().change_password(change))
    }

    fn change_user(&self, change: &UserChange) -> Result<UserOutcome, StoreError> {
        Ok(self.tables().change_user(change))
    }
}
