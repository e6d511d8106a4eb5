//! The transaction that signs a user in, the same on both databases.
//!
//! It begins with a lock on the user. This serializes logins of one user and changes of a user whom
//! the library keeps: no login exceeds the limit of sessions, and none is committed after the user
//! was disabled or the password changed.

pub(in crate::store) mod lent;
pub(super) mod lock;
pub(super) mod withdraw;

use std::time::Instant;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;

use self::lock::lock_user;
use super::connect::connection::{AnyConnection, run_on};
use super::error::SqlError;
use super::row::{NewRow, SessionRow, methods, pending, seconds};
use super::schema::sessions;
use crate::store::{
    BindSession, LoginOutcome, LoginSession, OnSessionLimit, SessionHandle, SessionRecord,
    StoreError, UserSource,
};

/// Signs a user in, in one transaction. On SQLite, its first statement takes the write lock. Also
/// returns the session that was bound, as it was before.
pub(super) fn login(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
    users: UserSource,
) -> Result<(LoginOutcome, Option<SessionRecord>), SqlError> {
    connection.transaction(|connection| {
        if !lock_user(connection, login, users)? {
            return Ok((LoginOutcome::UserRefused, None));
        }
        let others = others(connection, login)?;
        let allowed = match login.limit.max {
            0 => others.len(),
            max => max as usize - 1,
        };
        if others.len() > allowed
            && login.limit.on_limit == OnSessionLimit::Refuse
            && !has_session(connection, login)?
        {
            return Ok((LoginOutcome::LimitReached, None));
        }
        let surplus = &others[allowed.min(others.len())..];
        let mut ended = delete(connection, surplus)?;
        let bound = bind(connection, login)?;
        let outcome = if bound.is_some() {
            LoginOutcome::Bound(ended)
        } else {
            ended.extend(end_replaced(connection, login)?);
            let mut fresh = login.fresh.clone();
            fresh.user_id = login.signed_in_user().cloned();
            run_on!(connection, |connection| {
                diesel::insert_into(sessions::table)
                    .values(NewRow::from(&fresh))
                    .execute(connection)?
            });
            LoginOutcome::Created(ended)
        };
        in_time(login.deadline)?;
        Ok((outcome, bound))
    })
}

/// Fails if the deadline has passed, so that the transaction rolls back.
pub(super) fn in_time(deadline: Option<Instant>) -> Result<(), StoreError> {
    match deadline {
        Some(deadline) if Instant::now() >= deadline => Err(StoreError::TooLate),
        _ => Ok(()),
    }
}

/// Returns the handles of the user's other live sessions, newest token first. Returns none if there
/// is no limit.
fn others(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
) -> QueryResult<Vec<SessionHandle>> {
    if login.limit.max == 0 || login.fresh.pending.is_some() {
        return Ok(Vec::new());
    }
    let own = login.session.as_ref().map_or("", |s| s.id.as_str());
    let others = sessions::table
        .filter(sessions::user_id.eq(&login.user_id))
        .filter(sessions::kind.eq(&login.fresh.kind))
        .filter(sessions::expires_at.gt(login.fresh.now.naive_utc()))
        .filter(sessions::id.ne(own))
        .order(sessions::session_id.desc())
        .select(sessions::id);
    run_on!(connection, |connection| others.load(connection))
}

/// Returns whether the visitor's session already belongs to the user, so that the login adds none.
fn has_session(connection: &mut AnyConnection<'_>, login: &LoginSession) -> QueryResult<bool> {
    let Some(session) = &login.session else {
        return Ok(false);
    };
    let own = sessions::table
        .find(&session.id)
        .filter(sessions::user_id.eq(&login.user_id))
        .filter(sessions::kind.eq(&login.fresh.kind))
        .filter(sessions::expires_at.gt(login.fresh.now.naive_utc()))
        .count();
    let own: i64 = run_on!(connection, |connection| own.get_result(connection)?);
    Ok(own > 0)
}

fn delete(
    connection: &mut AnyConnection<'_>,
    ids: &[SessionHandle],
) -> QueryResult<Vec<SessionHandle>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let deletion =
        diesel::delete(sessions::table.filter(sessions::id.eq_any(ids))).returning(sessions::id);
    run_on!(connection, |connection| deletion.get_results(connection))
}

/// Maximum number of times that a session is read again because it was rotated concurrently.
const READ_AGAIN: usize = 10;

/// Binds the visitor's session to the user. Returns it as it was before, or `None` if it is not
/// kept.
fn bind(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
) -> Result<Option<SessionRecord>, SqlError> {
    let Some(session) = &login.session else {
        return Ok(None);
    };
    for _ in 0..READ_AGAIN {
        let row = run_on!(connection, |connection| {
            sessions::table
                .find(&session.id)
                .select(SessionRow::as_select())
                .first(connection)
                .optional()?
        });
        let Some(before) = row.map(SessionRecord::try_from).transpose()? else {
            return Ok(None);
        };
        if !login.keeps(&before) {
            return Ok(None);
        }
        if give(connection, login, session, &before)? {
            return Ok(Some(before));
        }
    }
    Ok(None)
}

/// Binds the session in one statement. Returns whether it was still as it had been read.
fn give(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
    session: &BindSession,
    before: &SessionRecord,
) -> QueryResult<bool> {
    let new = &login.fresh;
    let now = new.now.naive_utc();
    let deadline = session.expires_at.naive_utc().into_sql::<Timestamp>();
    let later = case_when(
        sessions::expires_at.lt(session.expires_at.naive_utc()),
        deadline,
    )
    .otherwise(sessions::expires_at);
    let absolute = session.absolute_expires_at.naive_utc();
    let later_absolute = case_when(
        sessions::absolute_expires_at.lt(absolute),
        absolute.into_sql::<Timestamp>(),
    )
    .otherwise(sessions::absolute_expires_at);
    let kept = sessions::table
        .find(&session.id)
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::session_id.eq(before.session_id.to_string()));
    let last_seen = case_when(sessions::last_seen_at.lt(now), now.into_sql::<Timestamp>())
        .otherwise(sessions::last_seen_at);
    let deadlines = (
        sessions::expires_at.eq(session.expires_at.naive_utc()),
        sessions::absolute_expires_at.eq(absolute),
    );
    let later_ones = (
        sessions::expires_at.eq(later),
        sessions::absolute_expires_at.eq(later_absolute),
    );
    let update = diesel::update(kept).set((
        sessions::session_id.eq(new.session_id.to_string()),
        sessions::token_hash.eq(new.token_hash.as_bytes().to_vec()),
        sessions::user_id.eq(login.signed_in_user()),
        session.is_exact.then_some(deadlines),
        (!session.is_exact).then_some(later_ones),
        (
            sessions::idle_timeout.eq(new.lifetime.idle.map(seconds)),
            sessions::absolute_timeout.eq(new.lifetime.absolute.map(seconds)),
            sessions::browser_session.eq(new.lifetime.browser_session),
            sessions::authenticated_at
                .eq(new.sign_in.as_ref().map(|sign_in| sign_in.at.naive_utc())),
            sessions::methods.eq(new.sign_in.as_ref().and_then(methods)),
            sessions::actor.eq(new
                .sign_in
                .as_ref()
                .and_then(|sign_in| sign_in.actor.as_ref())),
            sessions::pending_login.eq(new.pending.as_ref().map(pending)),
        ),
        sessions::last_seen_at.eq(last_seen),
        // Unknown values leave the stored ones unchanged.
        new.user_agent
            .as_ref()
            .map(|agent| sessions::user_agent.eq(agent)),
        new.ip.as_ref().map(|ip| sessions::ip.eq(ip)),
        sessions::updated_at.eq(now),
    ));
    let bound = run_on!(connection, |connection| update.execute(connection)?);
    Ok(bound == 1)
}

/// Ends the visitor's session if it belongs to another user.
fn end_replaced(
    connection: &mut AnyConnection<'_>,
    login: &LoginSession,
) -> QueryResult<Vec<SessionHandle>> {
    let Some(session) = &login.session else {
        return Ok(Vec::new());
    };
    let replaced = sessions::table
        .find(&session.id)
        .filter(sessions::session_id.eq(session.session_id.to_string()))
        .filter(sessions::user_id.is_not_null());
    let deletion = diesel::delete(replaced).returning(sessions::id);
    run_on!(connection, |connection| deletion.get_results(connection))
}
