//! What administrators do to users. Each change is in the audit log and in the record of events, with
//! who made it and from where.

use std::net::IpAddr;

use rocket_diesel_sessions::store::{UserAction, UserChange};
use rocket_diesel_sessions::{EventContext, PreparedEvent, SessionAdmin, UserId, UserSessions};

use super::error::AccountError;
use super::record::Record;
use super::users::Users;
use crate::monitoring::audit::{Event, Trail};

/// The name in the record of events of the end of all sessions of a user by an administrator.
pub const SIGNED_OUT_EVERYWHERE: &str = "signed_out_everywhere";

/// The name in the record of events of the end of everyone's sessions.
pub const SESSIONS_CLEARED: &str = Event::SessionsCleared.name();

/// The name in the record of events of the end of all sessions of an address.
pub const ADDRESS_ENDED: &str = "address_ended";

/// The name in the record of events of the deletion of a user. The reason is the user's id, because the
/// user's own events go with the user.
pub const USER_DELETED: &str = "user_deleted";

/// A change of a user's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Promote,
    Demote,
    Disable,
    Enable,
}

impl Change {
    const fn action(self) -> UserAction {
        match self {
            Self::Promote => UserAction::Promote,
            Self::Demote => UserAction::Demote,
            Self::Disable => UserAction::Disable,
            Self::Enable => UserAction::Enable,
        }
    }

    /// Returns the event for the audit log and, by its name, for the record of events.
    const fn event(self) -> Event {
        match self {
            Self::Promote => Event::UserPromoted,
            Self::Demote => Event::UserDemoted,
            Self::Disable => Event::UserDisabled,
            Self::Enable => Event::UserEnabled,
        }
    }
}

/// An administrator's request: who makes it, for the audit log, and from where, for the record of
/// events.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// The name of the administrator in the audit log, see `Admin::name`.
    pub(crate) by: String,
    /// The context of the events that the request causes.
    pub(crate) context: EventContext,
    pub(crate) trail: Trail,
}

/// The users, as an administrator changes them.
pub(crate) struct Administration<'a> {
    pub(crate) users: &'a Users,
    pub(crate) all: &'a SessionAdmin,
    pub(crate) sessions: &'a UserSessions,
    pub(crate) acting: Acting,
}

impl Administration<'_> {
    /// Changes a user's state. Returns whether that made a difference. Disabling a user ends the user's
    /// sessions.
    ///
    /// # Errors
    /// [`AccountError::NoUser`] if the user was deleted in the meantime, and
    /// [`AccountError::LastAdministrator`].
    pub(crate) async fn change(
        &self,
        user_id: &UserId,
        change: Change,
    ) -> Result<bool, AccountError> {
        let event = change.event();
        let all = self.all.with_context(self.acting.context.clone());
        let prepared = all.prepare_user_event(event.name(), user_id);
        let change = UserChange::new(user_id, change.action(), self.users.now());
        self.make(change, event, event.name(), prepared).await
    }

    /// Deletes a user with all of the user's sessions.
    ///
    /// # Errors
    /// As for [`change`](Self::change).
    pub(crate) async fn delete(&self, user_id: &UserId) -> Result<(), AccountError> {
        let context = self.acting.context.clone().reason(user_id.as_str());
        let all = self.all.with_context(context);
        let prepared = all.prepare_user_event(USER_DELETED, None);
        let change = UserChange::new(user_id, UserAction::Delete, self.users.now());
        self.make(change, Event::AccountDeleted, USER_DELETED, prepared)
            .await?;
        Ok(())
    }

    /// Makes a change, for which sessions end for the reason `name`.
    async fn make(
        &self,
        change: UserChange,
        event: Event,
        name: &str,
        prepared: PreparedEvent,
    ) -> Result<bool, AccountError> {
        let entry = self.acting.trail.event(event).user(&change.user_id);
        let context = self.acting.context.clone().reason(name);
        let record = Record {
            entry: entry.by(&self.acting.by),
            event: Some(prepared),
            sessions: self.sessions.with_context(context),
        };
        self.users.change(change, record).await
    }

    /// Ends all sessions of a user. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn sign_out(&self, user_id: &UserId) -> Result<usize, AccountError> {
        let context = self.acting.context.clone().reason(SIGNED_OUT_EVERYWHERE);
        let sessions = self.sessions.with_context(context);
        let ended = sessions.revoke_all(user_id).await?;
        if ended > 0 {
            let entry = self.acting.trail.event(Event::SessionRevoked);
            let entry = entry.user(user_id).by(&self.acting.by);
            entry.deleted(ended).write();
            let context = self.acting.context.clone().reason(self::sessions(ended));
            let all = self.all.with_context(context);
            all.note_user_event(SIGNED_OUT_EVERYWHERE, user_id);
        }
        Ok(ended)
    }

    /// Ends all sessions of an address. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails, or takes longer than a minute.
    pub(crate) async fn end_address(&self, ip: IpAddr) -> Result<usize, AccountError> {
        let context = self.acting.context.clone();
        let sessions = self.all.with_context(context.clone().reason(ADDRESS_ENDED));
        let ended = sessions.revoke_address(ip).await?;
        if ended > 0 {
            let entry = self.acting.trail.event(Event::SessionRevoked);
            let entry = entry.address(ip).by(&self.acting.by);
            entry.deleted(ended).write();
            let reason = format!("{} of {ip}", self::sessions(ended));
            let all = self.all.with_context(context.reason(reason));
            all.note_user_event(ADDRESS_ENDED, None);
        }
        Ok(ended)
    }

    /// Ends everyone's sessions. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails, or takes longer than a minute.
    pub(crate) async fn clear(&self) -> Result<usize, AccountError> {
        let context = self.acting.context.clone();
        let ended = self.all.with_context(context.clone()).clear().await?;
        let entry = self.acting.trail.event(Event::SessionsCleared);
        entry.by(&self.acting.by).deleted(ended).write();
        self.all
            .with_context(context.reason(sessions(ended)))
            .note_user_event(SESSIONS_CLEARED, None);
        Ok(ended)
    }
}

/// Returns a number of sessions in words, which is what the record says of the end of several.
pub fn sessions(number: usize) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} session{plural}")
}
