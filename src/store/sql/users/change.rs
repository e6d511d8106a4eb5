//! Changes of a user's state, each in one transaction with the event that records it.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::ends::{end, is_live};
use super::last_admin::lock;
use super::settings;
use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::error::SqlError;
use crate::store::sql::events;
use crate::store::sql::schema::{session_events, users};
use crate::store::users::{LastAdmin, UserAction, UserChange, UserOutcome};
use crate::store::{
    DieselStore, EventRecord, RevokeScope, SessionHandle, StoreError, UserId, UserSource,
};

impl DieselStore {
    /// Changes a user in a transaction that locks the user's row first. A login in progress holds
    /// that lock, so its session is visible to the change.
    pub(super) fn apply_change(&self, change: &UserChange) -> Result<UserOutcome, StoreError> {
        if !change.user_id.is_possible() {
            return Ok(UserOutcome::NoUser);
        }
        let source = self.options.users;
        self.change(|connection| {
            connection.transaction(|connection| {
                let outcome = apply(connection, change)?;
                if let UserOutcome::Done(_) = outcome {
                    record(connection, change.event.as_ref(), source)?;
                }
                Ok(outcome)
            })
        })
    }
}

/// Stores the event of a change in the change's transaction.
pub(super) fn record(
    connection: &mut AnyConnection<'_>,
    event: Option<&EventRecord>,
    source: UserSource,
) -> QueryResult<()> {
    match event {
        Some(event) => events::insert(connection, std::slice::from_ref(event), source),
        None => Ok(()),
    }
}

fn apply(connection: &mut AnyConnection<'_>, change: &UserChange) -> Result<UserOutcome, SqlError> {
    let id = &change.user_id;
    let last_admin = match change.action {
        UserAction::Demote | UserAction::Disable | UserAction::Delete => change.last_admin,
        UserAction::Promote | UserAction::Enable => LastAdmin::MayGo,
    };
    if let Some(refused) = lock(connection, id, last_admin)? {
        return Ok(refused);
    }
    if let Some(by) = change.by
        && !is_live(connection, id, by)?
    {
        return Ok(UserOutcome::SessionEnded);
    }
    let ended = match change.action {
        UserAction::Disable | UserAction::Delete => end(connection, id, None, &RevokeScope::All)?,
        UserAction::Promote | UserAction::Demote | UserAction::Enable => Vec::new(),
    };
    Ok(outcome(write(connection, change)?, ended))
}

fn outcome(is_changed: bool, ended: Vec<SessionHandle>) -> UserOutcome {
    if is_changed {
        UserOutcome::Done(ended)
    } else {
        UserOutcome::Unchanged(ended)
    }
}

/// Writes the user's row if that makes a difference, and returns whether it did.
fn write(connection: &mut AnyConnection<'_>, change: &UserChange) -> QueryResult<bool> {
    let (id, now) = (&change.user_id, change.now.naive_utc());
    if change.action == UserAction::Delete {
        delete_rows_of(connection, id)?;
    }
    let user = users::table.find(id);
    let written = users::updated_at.eq(now);
    let changed = run_on!(connection, |connection| match change.action {
        UserAction::Promote => diesel::update(user.filter(users::is_admin.eq(false)))
            .set((users::is_admin.eq(true), written))
            .execute(connection)?,
        UserAction::Demote => diesel::update(user.filter(users::is_admin.eq(true)))
            .set((users::is_admin.eq(false), written))
            .execute(connection)?,
        UserAction::Disable => diesel::update(user.filter(users::disabled_at.is_null()))
            .set((users::disabled_at.eq(now), written))
            .execute(connection)?,
        UserAction::Enable => diesel::update(user.filter(users::disabled_at.is_not_null()))
            .set((users::disabled_at.eq(None::<NaiveDateTime>), written))
            .execute(connection)?,
        UserAction::Delete => diesel::delete(user).execute(connection)?,
    });
    Ok(changed == 1)
}

/// Deletes what refers to a user. Where there are triggers and foreign keys, the database does this
/// too, for other programs.
fn delete_rows_of(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<()> {
    let events = session_events::table.filter(session_events::user_id.eq(id));
    let events = diesel::delete(events);
    run_on!(connection, |connection| events.execute(connection)?);
    settings::delete(connection, id)
}
