//! What signed-in users change of their own accounts.

use rocket_diesel_sessions::store::{ActingSession, PasswordChange, UserAction, UserChange};
use rocket_diesel_sessions::{Session, SessionAdmin, SessionHandle, UserId, UserSessions};
use uuid::Uuid;

use super::administration::USER_DELETED;
use super::error::AccountError;
use super::passwords::refuse_username;
use super::record::Record;
use super::users::Users;
use crate::monitoring::audit::{Entry, Event, Trail};
use crate::monitoring::counters::Action;
use crate::session_data::SessionData;

/// The name in the record of events of a change of the password, and the reason for its effects.
const PASSWORD_CHANGED: &str = Event::PasswordChanged.name();

/// A user's own account, as a session of the user changes it.
pub(crate) struct OwnAccount<'a> {
    pub(crate) user_id: &'a UserId,
    /// The session's handle.
    pub(crate) handle: &'a SessionHandle,
    /// The lookup half of the session's token.
    pub(crate) session_id: Uuid,
    pub(crate) session: &'a Session<SessionData>,
    pub(crate) trail: Trail,
}

impl OwnAccount<'_> {
    /// Changes the password after checking the current one. Ends the user's other sessions and rotates
    /// this one.
    ///
    /// # Errors
    /// When the current password is wrong, the new one is not allowed, or the session has ended.
    pub(crate) async fn change_password(
        &self,
        users: &Users,
        sessions: &UserSessions,
        current: &str,
        new: &str,
    ) -> Result<(), AccountError> {
        let changed = self.replace_password(users, sessions, current, new).await;
        users.counted(Action::Password, changed)
    }

    async fn replace_password(
        &self,
        users: &Users,
        sessions: &UserSessions,
        current: &str,
        new: &str,
    ) -> Result<(), AccountError> {
        let user = users
            .check(self.user_id, self.handle, current, self.trail)
            .await?;
        if new == current {
            return Err(AccountError::SamePassword);
        }
        refuse_username(&user.username, new)?;
        let new_hash = users.hash(new).await?;
        let change = async |rotation, deadline| {
            let change = PasswordChange {
                user_id: user.id,
                old_hash: user.password_hash,
                new_hash,
                rotation: Some(rotation),
                now: users.now(),
                deadline: Some(deadline),
                event: None,
            };
            let context = self.session.event_context().reason(PASSWORD_CHANGED);
            let record = Record {
                entry: self.entry(Event::PasswordChanged),
                event: self.session.prepare_event(PASSWORD_CHANGED),
                sessions: sessions.with_context(context),
            };
            users.change_password(change, record).await
        };
        // It holds several copies of the change and its record.
        Box::pin(self.session.rotate_with(change)).await?;
        Ok(())
    }

    /// Deletes the account with all of its sessions, and has the answer remove the cookie.
    ///
    /// # Errors
    /// When the user is the last administrator, or the session has ended.
    pub(crate) async fn delete(
        &self,
        users: &Users,
        all: &SessionAdmin,
        sessions: &UserSessions,
    ) -> Result<(), AccountError> {
        let found = users.find(self.user_id).await?;
        let mut context = self.session.event_context();
        // The acts of an administrator are still on record, under this id.
        if let Some(admin) = found.filter(|user| user.is_admin) {
            context = context.actor(admin.id).actor_name(admin.username);
        }
        let deleted = all.with_context(context.clone().reason(self.user_id.as_str()));
        let record = Record {
            entry: self.entry(Event::AccountDeleted),
            event: Some(deleted.prepare_user_event(USER_DELETED, None)),
            sessions: sessions.with_context(context.reason("account_deleted")),
        };
        let by = ActingSession {
            session_id: self.session_id,
            now: users.now(),
        };
        let mut change = UserChange::new(self.user_id, UserAction::Delete, by.now);
        change.by = Some(by);
        users.change(change, record).await?;
        self.session.logout().await?;
        Ok(())
    }

    /// Begins a line of the audit log.
    fn entry(&self, event: Event) -> Entry {
        let entry = self.trail.event(event).user(self.user_id);
        entry.by(self.user_id).session(self.handle)
    }
}
