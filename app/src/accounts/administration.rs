//! What administrators do to users. Each change is in the audit log and in the record of events, with
//! who made it and from where.

use std::net::IpAddr;

use rocket_diesel_sessions::store::{LastAdmin, UserOutcome, UserRecord, UserStore};
use rocket_diesel_sessions::{EventContext, SessionAdmin, SessionHandle, UserId, UserSessions};

use super::error::AccountError;
use super::users::{Users, done};
use crate::monitoring::audit::{Event, Trail};

/// The name in the record of events of the end of all sessions of a user by an administrator.
pub(crate) const SIGNED_OUT_EVERYWHERE: &str = "signed_out_everywhere";

/// The name in the record of events of the end of everyone's sessions.
pub(crate) const SESSIONS_CLEARED: &str = Event::SessionsCleared.name();

/// The name in the record of events of the end of all sessions of an address.
pub(crate) const ADDRESS_ENDED: &str = "address_ended";

/// The name in the record of events of the deletion of a user by an administrator. The reason is the
/// user's id, because the user's own events go with the user.
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
    /// Returns whether the change would make a difference.
    pub(crate) fn is_due(self, user: &UserRecord) -> bool {
        match self {
            Self::Promote => !user.is_admin,
            Self::Demote => user.is_admin,
            Self::Disable => user.disabled_at.is_none(),
            Self::Enable => user.disabled_at.is_some(),
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
        user: &UserRecord,
        change: Change,
    ) -> Result<bool, AccountError> {
        if !change.is_due(user) {
            return Ok(false);
        }
        let (id, now) = (user.id.clone(), self.users.now());
        let is_there = |is_there: bool| {
            let ended = UserOutcome::Done(Vec::new());
            if is_there { ended } else { UserOutcome::NoUser }
        };
        let keep = LastAdmin::Keep;
        let call = move |store: &dyn UserStore| match change {
            Change::Promote => store.promote_user(&id, now).map(is_there),
            Change::Demote => store.demote_user(&id, now, keep),
            Change::Disable => store.disable_user(&id, now, keep),
            Change::Enable => store.enable_user(&id, now).map(is_there),
        };
        let ended = gone(done(self.users.run(call).await?))?;
        let event = change.event();
        self.note_ended(&user.id, event.name(), &ended);
        self.note(event, event.name(), &user.id, None);
        Ok(true)
    }

    /// Deletes a user with all of the user's sessions.
    ///
    /// # Errors
    /// As for [`change`](Self::change).
    pub(crate) async fn delete(&self, user: &UserRecord) -> Result<(), AccountError> {
        let id = user.id.clone();
        let call = move |store: &dyn UserStore| store.delete_user(&id, None, LastAdmin::Keep);
        let ended = gone(done(self.users.run(call).await?))?;
        self.note_ended(&user.id, USER_DELETED, &ended);
        let context = self.acting.context.clone().reason(user.id.as_str());
        self.all
            .with_context(context)
            .note_user_event(USER_DELETED, None);
        let entry = self.acting.trail.event(Event::AccountDeleted);
        entry.user(&user.id).by(&self.acting.by).write();
        Ok(())
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
            self.note(
                Event::SessionRevoked,
                SIGNED_OUT_EVERYWHERE,
                user_id,
                Some(ended),
            );
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

    /// Reports the sessions that ended with a change, for that reason.
    fn note_ended(&self, user_id: &UserId, reason: &str, ended: &[SessionHandle]) {
        let context = self.acting.context.clone().reason(reason);
        let sessions = self.sessions.with_context(context);
        sessions.note_ended_of(user_id, ended);
    }

    /// Records what happened to a user, and writes a line to the audit log.
    fn note(&self, event: Event, name: &'static str, user_id: &UserId, ended: Option<usize>) {
        let entry = self.acting.trail.event(event).user(user_id);
        let entry = entry.by(&self.acting.by);
        let mut context = self.acting.context.clone();
        match ended {
            Some(ended) => {
                context = context.reason(sessions(ended));
                entry.deleted(ended).write();
            }
            None => entry.write(),
        }
        let all = self.all.with_context(context);
        all.note_user_event(name, user_id);
    }
}

/// Returns a number of sessions in words, which is what the record says of the end of several.
fn sessions(number: usize) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} session{plural}")
}

/// Puts a missing user as administrators understand it, who enter no password for the user.
fn gone<T>(changed: Result<T, AccountError>) -> Result<T, AccountError> {
    changed.map_err(|error| match error {
        AccountError::WrongCredentials => AccountError::NoUser,
        error => error,
    })
}
