//! [`UserChange`]: a change of a user by an operator or by the user, with the event that records it.

use chrono::{DateTime, Utc};

use crate::store::events::EventRecord;
use crate::store::ids::UserId;
use crate::store::login::ActingSession;

/// What a [`UserChange`] does. Every store must support all of them, so a further variant would be a
/// breaking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Makes the user an administrator from the next request on.
    Promote,
    /// Makes an administrator a plain user from the next request on. No session ends.
    Demote,
    /// Prevents the user from signing in and ends all of the user's sessions.
    Disable,
    /// Allows a disabled user to sign in again.
    Enable,
    /// Deletes the user with the user's settings, events and sessions.
    Delete,
}

/// Whether a change may remove the last administrator who may sign in. Every store must support
/// both, so a further variant would be a breaking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAdmin {
    /// Refuse the change with [`UserOutcome::LastAdmin`](super::UserOutcome::LastAdmin).
    Keep,
    /// Make the change, even if it leaves no administrator.
    MayGo,
}

/// A change of a user, for [`UserStore::change_user`](super::UserStore::change_user).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserChange {
    /// The user.
    pub user_id: UserId,
    /// What is to be done.
    pub action: UserAction,
    /// The acting session, if there is one. It must be live and the user's.
    pub by: Option<ActingSession>,
    /// Whether an administrator must be left who may sign in.
    pub last_admin: LastAdmin,
    /// The event that records the change. A store that keeps the events too stores it in the same
    /// transaction, and only if the change makes a difference.
    pub event: Option<EventRecord>,
    /// The time of the change.
    pub now: DateTime<Utc>,
}

impl UserChange {
    /// Makes a change that leaves an administrator and is not recorded.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{EventRecord, UserAction, UserChange};
    ///
    /// let now = chrono::Utc::now();
    /// let mut change = UserChange::new("tz4a98xxat96iws9zmbrgj3a", UserAction::Disable, now);
    /// let mut event = EventRecord::new(now, "user_disabled", "");
    /// event.user_id = Some(change.user_id.clone());
    /// change.event = Some(event);
    /// ```
    pub fn new(user_id: impl Into<UserId>, action: UserAction, now: DateTime<Utc>) -> Self {
        Self {
            user_id: user_id.into(),
            action,
            by: None,
            last_admin: LastAdmin::Keep,
            event: None,
            now,
        }
    }
}
