//! The `users` relation: what is kept of a user, and the [`UserStore`] trait over it.
//!
//! Passwords come here as hashes; making and checking those is the application's.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::{ActingSession, RotateSession, StoreError};

/// One row of `users`. `Debug` shows no hash.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRecord {
    /// cuid2.
    pub id: String,
    /// Unique, as it was stored: folding its case is the application's.
    pub username: String,
    /// The password's Argon2id hash, as a PHC string.
    pub password_hash: String,
    /// Whether the user may administer.
    pub is_admin: bool,
    /// Since when the user may not sign in; such a user has no sessions.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed.
    pub updated_at: DateTime<Utc>,
}

impl UserRecord {
    /// Makes a user who may sign in and not administer. The password hash is empty, which no password
    /// verifies against, until it is set.
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
    pub fn new(id: impl Into<String>, username: impl Into<String>, now: DateTime<Utc>) -> Self {
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

/// A new password for a user: ends all of the user's sessions but the one that asks, which gets a
/// new token. `Debug` shows no hash.
///
/// It is made with all its fields, by name, so that the two hashes are not mistaken for each other.
#[derive(Clone)]
pub struct PasswordChange {
    /// The user; must not be disabled.
    pub user_id: String,
    /// The hash that was verified; must be the user's still.
    pub old_hash: String,
    /// The hash to keep.
    pub new_hash: String,
    /// The new token of the session that asks, which must be the user's, and live. `None`: an
    /// administrator asks, and all of the user's sessions end.
    pub rotation: Option<RotateSession>,
    /// The time of the change.
    pub now: DateTime<Utc>,
    /// The latest moment at which it may commit. After that, no one waits for the new token.
    pub deadline: Option<Instant>,
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// What became of a change of a user. All but [`Done`](Self::Done) mean that nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserOutcome {
    /// It is done; these sessions ended with it, by public handle.
    Done(Vec<String>),
    /// There is no such user, or not with that password any more. Nothing was changed.
    NoUser,
    /// The session that asked for it has ended. Nothing was changed.
    SessionEnded,
    /// No other administrator may sign in, and [`LastAdmin::Keep`] was asked for. Nothing was
    /// changed.
    LastAdmin,
}

/// Whether a change may take away the last administrator who may sign in. Every store must be able to
/// do both, so a further choice would be a breaking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAdmin {
    /// The change is refused with [`UserOutcome::LastAdmin`].
    Keep,
    /// The change is made, and may leave no administrator.
    MayGo,
}

/// Keeps users, next to their sessions. What ends sessions does it in the same transaction.
pub trait UserStore: Send + Sync + 'static {
    /// The user with this id.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn user(&self, id: &str) -> Result<Option<UserRecord>, StoreError>;

    /// The user with this name.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError>;

    /// The users with these ids, in no particular order; absent ones are left out.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn users(&self, ids: &[String]) -> Result<Vec<UserRecord>, StoreError>;

    /// At most `limit` users in the order of their names, byte by byte: those whose name sorts
    /// after `after`, if given.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError>;

    /// Adds a user; `false` when the name is taken.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError>;

    /// Changes a user's password.
    ///
    /// # Errors
    /// When the database fails or cannot be reached, or it was not done by its deadline.
    fn change_password(&self, change: &PasswordChange) -> Result<UserOutcome, StoreError>;

    /// Makes a user an administrator; returns whether there is such a user. It holds from the
    /// user's next request on.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn promote_user(&self, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Makes an administrator a plain user from the next request on. No session ends.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn demote_user(
        &self,
        id: &str,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError>;

    /// Keeps a user from signing in, and ends all of the user's sessions.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn disable_user(
        &self,
        id: &str,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError>;

    /// Lets a user sign in again who was disabled; whether there is such a user.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn enable_user(&self, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Deletes a user with all sessions; `by` the user's session, if one asks for it.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete_user(
        &self,
        id: &str,
        by: Option<ActingSession>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError>;
}
