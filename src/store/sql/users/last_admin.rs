//! Protects the last administrator, even if two are removed at the same time.

use diesel::dsl::exists;
use diesel::prelude::*;

use crate::store::UserId;
use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::schema::users;
use crate::store::users::{LastAdmin, UserOutcome};

diesel::alias!(users as target: Target);

/// Locks a user's row until the transaction ends, before the user is demoted, disabled or deleted.
/// Returns the reason if that is refused. Must be the first statement of the transaction.
///
/// With [`LastAdmin::Keep`], locks the rows of all administrators too. Of two changes that would
/// each leave only the other's administrator, one then waits and sees that its administrator is the
/// last.
pub(super) fn lock(
    connection: &mut AnyConnection<'_>,
    id: &UserId,
    last_admin: LastAdmin,
) -> QueryResult<Option<UserOutcome>> {
    let admins = match last_admin {
        LastAdmin::Keep => lock_admins(connection, id)?,
        LastAdmin::MayGo => return Ok((!lock_user(connection, id)?).then_some(UserOutcome::NoUser)),
    };
    if admins == [id.as_str()] {
        return Ok(Some(UserOutcome::LastAdmin));
    }
    let found = if admins.iter().any(|admin| admin == id) {
        lock_user(connection, id)?
    } else {
        lock_plain_user(connection, id)?
    };
    Ok((!found).then_some(UserOutcome::NoUser))
}

/// Locks the administrators who may sign in, if the user is one of them, and returns their ids. A
/// write that changes nothing is a lock that every database has.
fn lock_admins(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<Vec<UserId>> {
    let is_one = target
        .filter(target.field(users::id).eq(id))
        .filter(target.field(users::is_admin).eq(true))
        .filter(target.field(users::disabled_at).is_null());
    // Not compared with a parameter, or the index of administrators would not be recognized.
    let admins = users::table
        .filter(users::is_admin)
        .filter(users::disabled_at.is_null())
        .filter(exists(is_one.select(target.field(users::id))));
    let lock = diesel::update(admins)
        .set(users::updated_at.eq(users::updated_at))
        .returning(users::id);
    run_on!(connection, |connection| lock.get_results(connection))
}

fn lock_user(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<bool> {
    let lock = diesel::update(users::table.find(id)).set(users::updated_at.eq(users::updated_at));
    let locked = run_on!(connection, |connection| lock.execute(connection)?);
    Ok(locked == 1)
}

/// Locks a user who is not an administrator, or who may not sign in. A user who has become an
/// active administrator since [`lock_admins`] ran is not found.
fn lock_plain_user(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<bool> {
    let is_plain = users::is_admin
        .eq(false)
        .or(users::disabled_at.is_not_null());
    let lock = diesel::update(users::table.find(id).filter(is_plain))
        .set(users::updated_at.eq(users::updated_at));
    let locked = run_on!(connection, |connection| lock.execute(connection)?);
    Ok(locked == 1)
}
