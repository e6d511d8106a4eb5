//! The tables of users: their rows, their settings, and the [`UserStore`] trait.
//!
//! Stores receive passwords only as hashes. The application creates and verifies them.

mod change;
pub(in crate::store) mod search;
mod settings;

use std::fmt;
use std::ops::Bound;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::events::EventRecord;
use super::ids::{SessionHandle, UserId};
use super::login::ActingSession;
use super::request::RotateSession;
pub use change::{LastAdmin, UserAction, UserChange};
pub use search::{FindUsers, UserCursor, UserPage};
pub use settings::{SettingsChange, UserSettings};

/// A row of `users`. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRecord {
    /// The id, a cuid2.
    pub id: UserId,
    /// The unique name, as stored. The application is responsible for folding its case.
    pub username: String,
    /// The password's Argon2id hash, as a PHC string.
    pub password_hash: String,
    /// Whether the user is an administrator.
    pub is_admin: bool,
    /// When the user was disabled. A disabled user may not sign in and has no sessions.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed.
    pub updated_at: DateTime<Utc>,
}

impl UserRecord {
    /// Creates a user who may sign in and is not an administrator. Until it is set, the password
    /// hash is empty and verifies no password.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::UserRecord;
    ///
    /// # let hash = String::new();
    /// let mut user = UserRecord::new("tz4a98xxat96iws9zmbrgj3a", "ada", chrono::Utc::now());
    /// user.password_hash = hash;
    /// assert!(!user.is_admin && user.disabled_at.is_none());
    /// ```
    pub fn new(id: impl Into<UserId>, username: impl Into<String>, now: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            username: username.into(),
            password_hash: String::new(),
            is_admin: false,
            disabled_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("is_admin", &self.is_admin)
            .field("disabled_at", &self.disabled_at)
            .finish_non_exhaustive()
    }
}

/// A new password for a user. It ends all of the user's sessions except the acting one, which gets
/// a new token. `Debug` shows no hash.
///
/// It is created with all fields by name, so that the two hashes cannot be confused.
#[derive(Clone)]
pub struct PasswordChange {
    /// The user, who must not be disabled.
    pub user_id: UserId,
    /// The verified hash. It must still be the user's.
    pub old_hash: String,
    /// The new hash.
    pub new_hash: String,
    /// The new token of the acting session, which must be live and the user's. With `None`, an
    /// administrator makes the change, and all of the user's sessions end.
    pub rotation: Option<RotateSession>,
    /// The time of the change.
    pub now: DateTime<Utc>,
    /// The latest time at which the change may commit. After that, no response could deliver the
    /// new token.
    pub deadline: Option<Instant>,
    /// The event that records the change. A store that keeps the events too stores it in the same
    /// transaction.
    pub event: Option<EventRecord>,
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// The outcome of a change of a user. All variants except [`Done`](Self::Done) mean that the user is
/// as before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserOutcome {
    /// The change was made, and the sessions with these handles ended with it.
    Done(Vec<SessionHandle>),
    /// The user was already as requested. A disabled user has no sessions, but if another program left
    /// some, they ended, and these are their handles.
    Unchanged(Vec<SessionHandle>),
    /// There is no such user, or the user's password hash is a different one by now.
    NoUser,
    /// The acting session has ended.
    SessionEnded,
    /// No other administrator may sign in, and [`LastAdmin::Keep`] was requested.
    LastAdmin,
}

/// A store of users beside their sessions. A change that ends sessions does so in the same
/// transaction.
///
/// # Errors
/// Every method fails if the database fails or cannot be reached. Further reasons are listed at the
/// method.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail for the same reasons, which the trait describes"
)]
pub trait UserStore: Send + Sync + 'static {
    /// Returns the user with this id.
    fn user(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError>;

    /// Returns the user with this id and the user's settings, in one read.
    fn user_with_settings(
        &self,
        id: &UserId,
    ) -> Result<Option<(UserRecord, UserSettings)>, StoreError>;

    /// Changes a user's settings. Each field is written alone, so that no change of another field is
    /// lost. Returns whether there is such a user.
    fn change_settings(&self, id: &UserId, change: &SettingsChange) -> Result<bool, StoreError>;

    /// Returns the user with this name.
    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError>;

    /// Returns the users with these ids, in no particular order. Absent users are omitted.
    fn users(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError>;

    /// Returns at most `limit` users in bytewise order of their names. With `after`, only those
    /// whose names sort after it.
    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError>;

    /// Returns a page of the users that a query asks for. However many users there are, it reads a
    /// limited number of them. The default implementation reads pages of
    /// [`list_users`](Self::list_users) and leaves out what the query does not ask for, so a page of
    /// few among many can be empty although there is a next one.
    fn find_users(&self, query: &FindUsers) -> Result<UserPage, StoreError> {
        search::page(query, |from, limit| match from {
            Bound::Unbounded => self.list_users(None, limit),
            Bound::Excluded(name) => self.list_users(Some(name), limit),
            Bound::Included(name) => {
                let mut users: Vec<UserRecord> = self.user_by_name(name)?.into_iter().collect();
                users.extend(self.list_users(Some(name), limit)?);
                users.truncate(limit as usize);
                Ok(users)
            }
        })
    }

    /// Adds a user. Returns `false` if the name is taken.
    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError>;

    /// Changes a user's password.
    ///
    /// # Errors
    /// Returns [`StoreError::TooLate`] if it could not commit by its deadline.
    fn change_password(&self, change: &PasswordChange) -> Result<UserOutcome, StoreError>;

    /// Changes a user's state, or deletes the user. Of several equal changes at the same time, one makes
    /// a difference and is [`UserOutcome::Done`]; the others are [`UserOutcome::Unchanged`].
    ///
    /// If the store also keeps the events, [`UserChange::event`] is stored in the same transaction as a
    /// change that is done. Otherwise it is ignored, and the caller records the event.
    fn change_user(&self, change: &UserChange) -> Result<UserOutcome, StoreError>;

    /// Makes a user an administrator from the next request on. Returns whether there is such a user.
    fn promote_user(&self, id: &UserId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let promoted = self.change_user(&UserChange::new(id, UserAction::Promote, now))?;
        Ok(promoted != UserOutcome::NoUser)
    }

    /// Makes an administrator a plain user from the next request on. No session ends.
    fn demote_user(
        &self,
        id: &UserId,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        self.change_user(&UserChange {
            last_admin,
            ..UserChange::new(id, UserAction::Demote, now)
        })
    }

    /// Prevents a user from signing in and ends all of the user's sessions.
    fn disable_user(
        &self,
        id: &UserId,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        self.change_user(&UserChange {
            last_admin,
            ..UserChange::new(id, UserAction::Disable, now)
        })
    }

    /// Allows a disabled user to sign in again. Returns whether there is such a user.
    fn enable_user(&self, id: &UserId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let enabled = self.change_user(&UserChange::new(id, UserAction::Enable, now))?;
        Ok(enabled != UserOutcome::NoUser)
    }

    /// Deletes a user with the user's settings and all of the user's sessions. `by` is the acting
    /// session, if there is one.
    fn delete_user(
        &self,
        id: &UserId,
        by: Option<ActingSession>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        // A deletion leaves no row that would have a time.
        let now = by.map_or(DateTime::UNIX_EPOCH, |by| by.now);
        self.change_user(&UserChange {
            by,
            last_admin,
            ..UserChange::new(id, UserAction::Delete, now)
        })
    }
}
