//! The end of a user's sessions, and the new token of the one that acts.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::error::SqlError;
use crate::store::sql::schema::sessions;
use crate::store::{ActingSession, Revocation, RevokeScope, RotateSession, SessionHandle, UserId};

/// Deletes sessions of one user and returns their handles, or `None` if the acting session has
/// ended.
pub(in crate::store) fn revoke(
    connection: &mut AnyConnection<'_>,
    revocation: &Revocation,
) -> Result<Option<Vec<SessionHandle>>, SqlError> {
    let user_id = &revocation.user_id;
    if !user_id.is_possible() {
        return Ok(revocation.by.is_none().then(Vec::new));
    }
    connection.transaction(|connection| match revocation.by {
        Some(by) if !is_live(connection, user_id, by)? => Ok(None),
        _ => Ok(Some(end(
            connection,
            user_id,
            revocation.kind.as_deref(),
            &revocation.scope,
        )?)),
    })
}

/// Returns whether the acting session is live and belongs to the user, and locks its row, so that
/// this stays true until the transaction ends. A write that changes nothing is a lock that every
/// database has.
pub(super) fn is_live(
    connection: &mut AnyConnection<'_>,
    user_id: &UserId,
    by: ActingSession,
) -> QueryResult<bool> {
    let session = sessions::table
        .filter(sessions::session_id.eq(by.session_id.to_string()))
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::expires_at.gt(by.now.naive_utc()));
    let lock = diesel::update(session).set(sessions::version.eq(sessions::version));
    let locked = run_on!(connection, |connection| lock.execute(connection)?);
    Ok(locked == 1)
}

pub(super) fn end(
    connection: &mut AnyConnection<'_>,
    user_id: &UserId,
    kind: Option<&str>,
    scope: &RevokeScope,
) -> QueryResult<Vec<SessionHandle>> {
    let of_every_kind = kind.is_none().into_sql::<Bool>();
    let of_user = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(of_every_kind.or(sessions::kind.eq(kind.unwrap_or_default())));
    run_on!(connection, |connection| match scope {
        RevokeScope::One(id) => diesel::delete(of_user.filter(sessions::id.eq(id)))
            .returning(sessions::id)
            .get_results(connection),
        RevokeScope::AllBut(id) => diesel::delete(of_user.filter(sessions::id.ne(id)))
            .returning(sessions::id)
            .get_results(connection),
        RevokeScope::All => diesel::delete(of_user)
            .returning(sessions::id)
            .get_results(connection),
    })
}

/// Rotates the acting session. Returns its handle, or `None` if it is not live or not the user's.
pub(super) fn rotate(
    connection: &mut AnyConnection<'_>,
    user_id: &UserId,
    rotation: &RotateSession,
) -> QueryResult<Option<SessionHandle>> {
    let now = rotation.now.naive_utc();
    let session = sessions::table
        .filter(sessions::session_id.eq(rotation.session_id.to_string()))
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::expires_at.gt(now));
    let rotated = diesel::update(session)
        .set((
            sessions::session_id.eq(rotation.new_session_id.to_string()),
            sessions::token_hash.eq(rotation.new_token_hash.as_bytes().to_vec()),
            sessions::updated_at.eq(now),
        ))
        .returning(sessions::id);
    run_on!(connection, |connection| rotated.get_result(connection)).optional()
}
