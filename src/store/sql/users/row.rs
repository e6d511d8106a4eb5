//! The rows of the table `users`, as Diesel reads and writes them.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::store::UserId;
use crate::store::sql::row::{StoredText, StoredTime};
use crate::store::sql::schema::users;
use crate::store::users::UserRecord;

#[derive(Insertable)]
#[diesel(table_name = users)]
pub(super) struct NewUser {
    id: UserId,
    username: String,
    password_hash: String,
    is_admin: bool,
    disabled_at: Option<NaiveDateTime>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    id: StoredText,
    username: StoredText,
    password_hash: StoredText,
    is_admin: bool,
    disabled_at: Option<StoredTime>,
    created_at: StoredTime,
    updated_at: StoredTime,
}

/// Converts a user's time. An unreadable value is read as the Unix epoch, so a user with such a
/// `disabled_at` is disabled, as in the database's own triggers and queries.
fn time(StoredTime(time): StoredTime) -> DateTime<Utc> {
    time.unwrap_or_default().and_utc()
}

impl From<UserRow> for UserRecord {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id.shown().into(),
            username: row.username.shown(),
            // An unreadable hash verifies no password.
            password_hash: row.password_hash.shown(),
            is_admin: row.is_admin,
            disabled_at: row.disabled_at.map(time),
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

impl From<&UserRecord> for NewUser {
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
