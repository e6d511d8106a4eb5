//! The `users` relation: what is kept of a user, and the [`UserStore`] trait over it.
//!
//! Passwords come here as hashes; making and checking those is the application's.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::connection::AnyConnection;
use super::login::RevokeScope;
use super::schema::{sessions, users};
use super::{DieselStore, StoreError};

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

/// Keeps users, next to their sessions. What ends sessions does it in the same transaction and
/// returns their public handles; `None` says that there is no such user.
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

    /// Replaces the password hash `old`, and ends the user's sessions but the one with the public
    /// handle `keep`. `None` also when the hash is not `old` any more.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn change_password(
        &self,
        id: &str,
        old: &str,
        new: &str,
        keep: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<String>>, StoreError>;

    /// Makes a user an administrator, or no longer one; whether there is such a user. It holds from
    /// the user's next request on.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn set_admin(&self, id: &str, is_admin: bool, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Keeps a user from signing in, and ends all of the user's sessions.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn disable_user(&self, id: &str, now: DateTime<Utc>)
    -> Result<Option<Vec<String>>, StoreError>;

    /// Lets a user sign in again who was disabled; whether there is such a user.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn enable_user(&self, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Deletes a user with all sessions.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete_user(&self, id: &str) -> Result<Option<Vec<String>>, StoreError>;
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

/// Deletes sessions of one user; returns the handles of those that were there.
pub(super) fn revoke(
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

    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|connection| {
            let mut page = users::table
                .order(users::username)
                .limit(limit.into())
                .select(UserRow::as_select())
                .into_boxed();
            if let Some(after) = after {
                page = page.filter(users::username.gt(after));
            }
            let rows = page.load(connection)?;
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

    fn change_password(
        &self,
        id: &str,
        old: &str,
        new: &str,
        keep: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let user = users::table
            .find(id)
            .filter(users::password_hash.eq(old))
            .filter(users::disabled_at.is_null());
        self.change(|connection| {
            connection.transaction(|connection| {
                let changed = diesel::update(user)
                    .set((
                        users::password_hash.eq(new),
                        users::updated_at.eq(now.naive_utc()),
                    ))
                    .execute(connection)?;
                if changed == 0 {
                    return Ok(None);
                }
                let scope = RevokeScope::AllBut(keep.to_owned());
                Ok(Some(revoke(connection, id, &scope)?))
            })
        })
    }

    fn set_admin(&self, id: &str, is_admin: bool, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let changed = self.change(|connection| {
            let user = diesel::update(users::table.find(id)).set((
                users::is_admin.eq(is_admin),
                users::updated_at.eq(now.naive_utc()),
            ));
            Ok(user.execute(connection)?)
        })?;
        Ok(changed == 1)
    }

    fn enable_user(&self, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let changed = self.change(|connection| {
            let user = diesel::update(users::table.find(id)).set((
                users::disabled_at.eq(None::<NaiveDateTime>),
                users::updated_at.eq(now.naive_utc()),
            ));
            Ok(user.execute(connection)?)
        })?;
        Ok(changed == 1)
    }

    fn disable_user(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        self.change(|connection| {
            connection.transaction(|connection| {
                // First the row, which a login in flight holds, and then what that one made.
                let user = users::table.find(id);
                let found = diesel::update(user)
                    .set(users::updated_at.eq(now.naive_utc()))
                    .execute(connection)?;
                if found == 0 {
                    return Ok(None);
                }
                let ended = revoke(connection, id, &RevokeScope::All)?;
                diesel::update(user.filter(users::disabled_at.is_null()))
                    .set(users::disabled_at.eq(now.naive_utc()))
                    .execute(connection)?;
                Ok(Some(ended))
            })
        })
    }

    fn delete_user(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.change(|connection| {
            connection.transaction(|connection| {
                let user = users::table.find(id);
                let unchanged = users::updated_at.eq(users::updated_at);
                let found = diesel::update(user).set(unchanged).execute(connection)?;
                if found == 0 {
                    return Ok(None);
                }
                let ended = revoke(connection, id, &RevokeScope::All)?;
                diesel::delete(user).execute(connection)?;
                Ok(Some(ended))
            })
        })
    }
}
