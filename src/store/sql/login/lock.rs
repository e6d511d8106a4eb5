//! The lock that serializes logins of one user.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamp};

use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::schema::users;
use crate::store::{LoginSession, UserId, UserSource};

/// Locks the user until the transaction ends. Returns whether the user may sign in, which stays
/// true while the lock is held.
pub(super) fn lock_user(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
    users: UserSource,
) -> QueryResult<bool> {
    match users {
        UserSource::Own => match &login.password_hash {
            Some(hash) => lock_with_password(connection, &login.user_id, hash),
            None => lock_own(connection, &login.user_id),
        },
        UserSource::External if login.password_hash.is_some() => {
            tracing::error!(
                "a login was refused: verified_against requires users = \"own\"; if the application \
                 keeps the users, verify in the transaction of login_with"
            );
            Ok(false)
        }
        UserSource::External => {
            lock_name(connection, login)?;
            Ok(true)
        }
    }
}

/// Locks a user of the library by a write that changes nothing, a lock that every database has.
/// Returns whether there is such a user who is not disabled.
pub(super) fn lock_own(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<bool> {
    let user = users::table.find(id).filter(users::disabled_at.is_null());
    let lock = diesel::update(user).set(users::updated_at.eq(users::updated_at));
    let locked = run_on!(connection, |connection| lock.execute(connection)?);
    Ok(locked == 1)
}

/// Locks a user of the library whose password has this hash.
fn lock_with_password(
    connection: &mut AnyConnection<'_>,
    id: &UserId,
    hash: &str,
) -> QueryResult<bool> {
    let user = users::table
        .find(id)
        .filter(users::disabled_at.is_null())
        .filter(users::password_hash.eq(hash));
    let lock = diesel::update(user).set(users::updated_at.eq(users::updated_at));
    let locked = run_on!(connection, |connection| lock.execute(connection)?);
    Ok(locked == 1)
}

/// Locks a user of the application by id. Without a limit of sessions, logins need not wait for
/// each other. SQLite then only takes its write lock, because a transaction that begins with a read
/// may not get it later.
fn lock_name(connection: &mut AnyConnection<'_>, login: &LoginSession) -> QueryResult<()> {
    const LOCK: &str = "INSERT INTO session_user_locks (user_id, locked_at) VALUES ($1, $2) \
                        ON CONFLICT (user_id) DO UPDATE SET locked_at = excluded.locked_at";
    if login.limit.max > 0 {
        run_on!(connection, |connection| diesel::sql_query(LOCK)
            .bind::<Text, _>(&login.user_id)
            .bind::<Timestamp, _>(login.fresh.now.naive_utc())
            .execute(connection)?);
        return Ok(());
    }
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => {
            let nothing = "UPDATE session_user_locks SET locked_at = locked_at WHERE user_id = ''";
            diesel::sql_query(nothing).execute(*connection).map(drop)
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => Ok(()),
    }
}

/// How long the row of a lock is kept.
const KEPT: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Deletes the rows of locks that were last taken more than a day ago.
pub(in crate::store) fn sweep_locks(
    connection: &mut AnyConnection<'_>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    const OLD: &str = "DELETE FROM session_user_locks WHERE locked_at < $1";
    let before = (now - KEPT).naive_utc();
    Ok(run_on!(connection, |connection| diesel::sql_query(OLD)
        .bind::<Timestamp, _>(before)
        .execute(connection)?))
}
