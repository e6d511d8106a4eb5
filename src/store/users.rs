//! The `users` relation: what is kept of a user, and the [`UserStore`] trait over it.
//!
//! Passwords come here as hashes; making and checking those is the application's.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use super::connection::AnyConnection;
use super::login::{ActingSession, Revocation, RevokeScope, in_time};
use super::schema::{sessions, users};
use super::{DieselStore, RotateSession, StoreError};

/// One row of `users`. `Debug` shows no hash.
#[derive(Clone, PartialEq, Eq)]
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
#[derive(Clone)]
pub struct PasswordChange {
    /// The user; must not be disabled.
    pub user_id: String,
    /// The hash that was verified; must be the user's still.
    pub old_hash: String,
    /// The hash to keep.
    pub new_hash: String,
    /// The new token of the session that asks; must be the user's, and live.
    pub rotation: RotateSession,
    /// Until when it may be committed: past that, nobody waits for the new token any more.
    pub deadline: Option<Instant>,
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// What became of a change of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// It is done; these sessions ended with it, by public handle.
    Done(Vec<String>),
    /// There is no such user, or not with that password any more. Nothing was changed.
    NoUser,
    /// The session that asked for it has ended. Nothing was changed.
    SessionEnded,
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

    /// Adds a user; `false` when the name is taken.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError>;

    /// Changes a user's password.
    ///
    /// # Errors
    /// When the database fails or cannot be reached, or it was not done by its deadline.
    fn change_password(&self, change: &PasswordChange) -> Result<UserChange, StoreError>;

    /// Keeps a user from signing in, and ends all of the user's sessions.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn disable_user(&self, id: &str, now: DateTime<Utc>) -> Result<UserChange, StoreError>;

    /// Deletes a user with all sessions; `by` the user's session, if one asks for it.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete_user(&self, id: &str, by: Option<ActingSession>) -> Result<UserChange, StoreError>;
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
struct UserRow {
    id: String,
    username: String,
    password_hash: String,
    is_admin: bool,
    disabled_at: Option<NaiveDateTime>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl From<UserRow> for UserRecord {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            password_hash: row.password_hash,
            is_admin: row.is_admin,
            disabled_at: row.disabled_at.map(|time| time.and_utc()),
            created_at: row.created_at.and_utc(),
            updated_at: row.updated_at.and_utc(),
        }
    }
}

impl From<&UserRecord> for UserRow {
    fn from(user: &UserRecord) -> Self {
        Self {
            id: user.id.clone(),
            username: user.username.clone(),
            password_hash: user.password_hash.clone(),
            is_admin: user.is_admin,
            disabled_at: user.disabled_at.map(|time| time.naive_utc()),
            created_at: user.created_at.naive_utc(),
            updated_at: user.updated_at.naive_utc(),
        }
    }
}

/// Deletes sessions of one user; returns the handles of those that were there, `None` when the session
/// that asks has ended.
pub(super) fn revoke(
    connection: &mut AnyConnection,
    revocation: &Revocation,
) -> Result<Option<Vec<String>>, StoreError> {
    let user_id = &revocation.user_id;
    connection.transaction(|connection| match revocation.by {
        Some(by) if !is_live(connection, user_id, by)? => Ok(None),
        _ => Ok(Some(end(connection, user_id, &revocation.scope)?)),
    })
}

/// Whether the session is the user's, and live. It stays so until the transaction ends: a write that
/// changes nothing is a lock that every database has.
fn is_live(connection: &mut AnyConnection, user_id: &str, by: ActingSession) -> QueryResult<bool> {
    let session = sessions::table
        .filter(sessions::session_id.eq(by.session_id.to_string()))
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::expires_at.gt(by.now.naive_utc()));
    let locked = diesel::update(session)
        .set(sessions::version.eq(sessions::version))
        .execute(connection)?;
    Ok(locked == 1)
}

fn end(
    connection: &mut AnyConnection,
    user_id: &str,
    scope: &RevokeScope,
) -> QueryResult<Vec<String>> {
    let of_user = sessions::table.filter(sessions::user_id.eq(user_id));
    match scope {
        RevokeScope::One(id) => diesel::delete(of_user.filter(sessions::id.eq(id)))
            .returning(sessions::id)
            .get_results(connection),
        RevokeScope::AllBut(id) => diesel::delete(of_user.filter(sessions::id.ne(id)))
            .returning(sessions::id)
            .get_results(connection),
        RevokeScope::All => diesel::delete(of_user)
            .returning(sessions::id)
            .get_results(connection),
    }
}

/// Gives the session that asks a new token; its public handle, if it is the user's and live.
fn rotate(
    connection: &mut AnyConnection,
    user_id: &str,
    rotation: &RotateSession,
) -> QueryResult<Option<String>> {
    let now = rotation.now.naive_utc();
    let session = sessions::table
        .filter(sessions::session_id.eq(rotation.session_id.to_string()))
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::expires_at.gt(now));
    diesel::update(session)
        .set((
            sessions::session_id.eq(rotation.new_session_id.to_string()),
            sessions::token_hash.eq(rotation.new_token_hash.as_bytes().to_vec()),
            sessions::updated_at.eq(now),
        ))
        .returning(sessions::id)
        .get_result(connection)
        .optional()
}

impl UserStore for DieselStore {
    fn user(&self, id: &str) -> Result<Option<UserRecord>, StoreError> {
        self.read(|connection| {
            let user = users::table
                .find(id)
                .select(UserRow::as_select())
                .first(connection)
                .optional()?;
            Ok(user.map(Into::into))
        })
    }

    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        self.read(|connection| {
            let user = users::table
                .filter(users::username.eq(username))
                .select(UserRow::as_select())
                .first(connection)
                .optional()?;
            Ok(user.map(Into::into))
        })
    }

    fn users(&self, ids: &[String]) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|connection| {
            let rows = users::table
                .filter(users::id.eq_any(ids))
                .select(UserRow::as_select())
                .load(connection)?;
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }

    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError> {
        let added = self.change(|connection| {
            diesel::insert_into(users::table)
                .values(UserRow::from(user))
                .execute(connection)?;
            Ok(())
        });
        match added {
            Ok(()) => Ok(true),
            // The id is new, so it is the name that is taken.
            Err(StoreError::Constraint(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn change_password(&self, change: &PasswordChange) -> Result<UserChange, StoreError> {
        let id = &change.user_id;
        let user = users::table
            .find(id)
            .filter(users::password_hash.eq(&change.old_hash))
            .filter(users::disabled_at.is_null());
        let changed = self.change(|connection| {
            connection.transaction(|connection| {
                let changed = diesel::update(user)
                    .set((
                        users::password_hash.eq(&change.new_hash),
                        users::updated_at.eq(change.rotation.now.naive_utc()),
                    ))
                    .execute(connection)?;
                if changed == 0 {
                    return Ok(UserChange::NoUser);
                }
                let Some(kept) = rotate(connection, id, &change.rotation)? else {
                    // Undoes the change.
                    return Err(DieselError::RollbackTransaction.into());
                };
                let ended = end(connection, id, &RevokeScope::AllBut(kept))?;
                in_time(change.deadline)?;
                Ok(UserChange::Done(ended))
            })
        });
        match changed {
            Err(StoreError::Query(DieselError::RollbackTransaction)) => {
                Ok(UserChange::SessionEnded)
            }
            changed => changed,
        }
    }

    fn disable_user(&self, id: &str, now: DateTime<Utc>) -> Result<UserChange, StoreError> {
        self.change(|connection| {
            connection.transaction(|connection| {
                // First the row, which a login in flight holds, and then what that one made.
                let user = users::table.find(id);
                let found = diesel::update(user)
                    .set(users::updated_at.eq(now.naive_utc()))
                    .execute(connection)?;
                if found == 0 {
                    return Ok(UserChange::NoUser);
                }
                let ended = end(connection, id, &RevokeScope::All)?;
                diesel::update(user.filter(users::disabled_at.is_null()))
                    .set(users::disabled_at.eq(now.naive_utc()))
                    .execute(connection)?;
                Ok(UserChange::Done(ended))
            })
        })
    }

    fn delete_user(&self, id: &str, by: Option<ActingSession>) -> Result<UserChange, StoreError> {
        self.change(|connection| {
            connection.transaction(|connection| {
                let user = users::table.find(id);
                let unchanged = users::updated_at.eq(users::updated_at);
                let found = diesel::update(user).set(unchanged).execute(connection)?;
                if found == 0 {
                    return Ok(UserChange::NoUser);
                }
                if let Some(by) = by
                    && !is_live(connection, id, by)?
                {
                    return Ok(UserChange::SessionEnded);
                }
                let ended = end(connection, id, &RevokeScope::All)?;
                diesel::delete(user).execute(connection)?;
                Ok(UserChange::Done(ended))
            })
        })
    }
}
