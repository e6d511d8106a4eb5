//! [`UserStore`] on the pool, and the end of a user's sessions.

mod last_admin;
mod row;

use std::ops::Bound;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;

use self::last_admin::lock;
use self::row::{NewUser, UserRow};
use super::connect::connection::{AnyConnection, run_on};
use super::error::SqlError;
use super::login::in_time;
use super::schema::{session_events, sessions, users};
use crate::store::users::{
    FindUsers, LastAdmin, PasswordChange, UserOutcome, UserPage, UserRecord, UserStore, search,
};
use crate::store::{
    ActingSession, DieselStore, Revocation, RevokeScope, RotateSession, SessionHandle, StoreError,
    UserId,
};

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
fn is_live(
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

fn end(
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
fn rotate(
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

impl DieselStore {
    /// Changes a user in a transaction that locks the user's row first. A login in progress holds
    /// that lock, so its session is visible to the change. Refuses a change that would leave no
    /// administrator.
    fn change_locked(
        &self,
        id: &UserId,
        last_admin: LastAdmin,
        change: impl Fn(&mut AnyConnection<'_>) -> Result<UserOutcome, SqlError>,
    ) -> Result<UserOutcome, StoreError> {
        if !id.is_possible() {
            return Ok(UserOutcome::NoUser);
        }
        self.change(|connection| {
            connection.transaction(|connection| match lock(connection, id, last_admin)? {
                Some(refused) => Ok(refused),
                None => change(connection),
            })
        })
    }
}

impl DieselStore {
    /// Returns users in order of their names, which the query's filters keep. Each filter has an index
    /// of its own.
    fn users_from(
        &self,
        from: Bound<&str>,
        limit: u32,
        filters: &FindUsers,
    ) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|connection| {
            let rows = run_on!(connection, |connection| {
                let mut page = users::table
                    .order(users::username)
                    .limit(limit.into())
                    .select(UserRow::as_select())
                    .into_boxed();
                match from {
                    Bound::Unbounded => {}
                    Bound::Included(name) => page = page.filter(users::username.ge(name)),
                    Bound::Excluded(name) => page = page.filter(users::username.gt(name)),
                }
                // Not compared with a parameter, or the index would not be recognized.
                if filters.admins {
                    page = page.filter(users::is_admin);
                }
                if filters.disabled {
                    page = page.filter(users::disabled_at.is_not_null());
                }
                page.load(connection)?
            });
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }
}

impl UserStore for DieselStore {
    fn user(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        if !id.is_possible() {
            return Ok(None);
        }
        self.read(|connection| {
            let user = run_on!(connection, |connection| {
                users::table
                    .find(id)
                    .select(UserRow::as_select())
                    .first(connection)
                    .optional()?
            });
            Ok(user.map(Into::into))
        })
    }

    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        self.read(|connection| {
            let user = run_on!(connection, |connection| {
                users::table
                    .filter(users::username.eq(username))
                    .select(UserRow::as_select())
                    .first(connection)
                    .optional()?
            });
            Ok(user.map(Into::into))
        })
    }

    fn users(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|connection| {
            let ids = ids.iter().filter(|id| id.is_possible());
            let rows = run_on!(connection, |connection| {
                users::table
                    .filter(users::id.eq_any(ids))
                    .select(UserRow::as_select())
                    .load(connection)?
            });
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }

    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.users_from(from, limit, &FindUsers::new(limit))
    }

    fn find_users(&self, query: &FindUsers) -> Result<UserPage, StoreError> {
        search::page(query, |from, limit| self.users_from(from, limit, query))
    }

    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError> {
        let added = self.change(|connection| {
            run_on!(connection, |connection| {
                diesel::insert_into(users::table)
                    .values(NewUser::from(user))
                    .execute(connection)?
            });
            Ok(())
        });
        match added {
            Ok(()) => Ok(true),
            // The id is new, so the name is taken.
            Err(StoreError::Constraint(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn change_password(&self, change: &PasswordChange) -> Result<UserOutcome, StoreError> {
        let id = &change.user_id;
        if !id.is_possible() {
            return Ok(UserOutcome::NoUser);
        }
        let user = users::table
            .find(id)
            .filter(users::password_hash.eq(&change.old_hash))
            .filter(users::disabled_at.is_null());
        self.change(|connection| {
            let changed = connection.transaction(|connection| {
                let update = diesel::update(user).set((
                    users::password_hash.eq(&change.new_hash),
                    users::updated_at.eq(change.now.naive_utc()),
                ));
                let changed = run_on!(connection, |connection| update.execute(connection)?);
                if changed == 0 {
                    return Ok(UserOutcome::NoUser);
                }
                let scope = match &change.rotation {
                    None => RevokeScope::All,
                    Some(rotation) => match rotate(connection, id, rotation)? {
                        Some(kept) => RevokeScope::AllBut(kept),
                        // Rolls the change back.
                        None => return Err(DieselError::RollbackTransaction.into()),
                    },
                };
                let ended = end(connection, id, None, &scope)?;
                in_time(change.deadline)?;
                Ok(UserOutcome::Done(ended))
            });
            match changed {
                Err(SqlError::Diesel(DieselError::RollbackTransaction)) => {
                    Ok(UserOutcome::SessionEnded)
                }
                changed => changed,
            }
        })
    }

    fn promote_user(&self, id: &UserId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        if !id.is_possible() {
            return Ok(false);
        }
        let changed = self.change(|connection| {
            let user = diesel::update(users::table.find(id)).set((
                users::is_admin.eq(true),
                users::updated_at.eq(now.naive_utc()),
            ));
            Ok(run_on!(connection, |connection| user.execute(connection)?))
        })?;
        Ok(changed == 1)
    }

    fn demote_user(
        &self,
        id: &UserId,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        self.change_locked(id, last_admin, |connection| {
            let user = diesel::update(users::table.find(id)).set((
                users::is_admin.eq(false),
                users::updated_at.eq(now.naive_utc()),
            ));
            run_on!(connection, |connection| user.execute(connection)?);
            Ok(UserOutcome::Done(Vec::new()))
        })
    }

    fn enable_user(&self, id: &UserId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        if !id.is_possible() {
            return Ok(false);
        }
        let changed = self.change(|connection| {
            let user = diesel::update(users::table.find(id)).set((
                users::disabled_at.eq(None::<NaiveDateTime>),
                users::updated_at.eq(now.naive_utc()),
            ));
            Ok(run_on!(connection, |connection| user.execute(connection)?))
        })?;
        Ok(changed == 1)
    }

    fn disable_user(
        &self,
        id: &UserId,
        now: DateTime<Utc>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        self.change_locked(id, last_admin, |connection| {
            let ended = end(connection, id, None, &RevokeScope::All)?;
            let user = users::table.find(id);
            run_on!(connection, |connection| {
                diesel::update(user)
                    .set(users::updated_at.eq(now.naive_utc()))
                    .execute(connection)?;
                diesel::update(user.filter(users::disabled_at.is_null()))
                    .set(users::disabled_at.eq(now.naive_utc()))
                    .execute(connection)?;
            });
            Ok(UserOutcome::Done(ended))
        })
    }

    fn delete_user(
        &self,
        id: &UserId,
        by: Option<ActingSession>,
        last_admin: LastAdmin,
    ) -> Result<UserOutcome, StoreError> {
        self.change_locked(id, last_admin, |connection| {
            if let Some(by) = by
                && !is_live(connection, id, by)?
            {
                return Ok(UserOutcome::SessionEnded);
            }
            let ended = end(connection, id, None, &RevokeScope::All)?;
            // Where there are triggers, one does this too, for other programs.
            let events = session_events::table.filter(session_events::user_id.eq(id));
            let events = diesel::delete(events);
            let user = diesel::delete(users::table.find(id));
            run_on!(connection, |connection| {
                events.execute(connection)?;
                user.execute(connection)?;
            });
            Ok(UserOutcome::Done(ended))
        })
    }
}
