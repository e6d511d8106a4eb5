//! [`UserStore`] on the pool, and the end of a user's sessions.

pub(in crate::store) mod ends;
mod last_admin;
mod row;
mod settings;

use std::ops::Bound;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use self::ends::{end, is_live, rotate};
use self::last_admin::lock;
use self::row::{NewUser, UserRow};
use self::settings::SettingsRow;
use super::connect::connection::{AnyConnection, run_on};
use super::error::SqlError;
use super::login::in_time;
use super::schema::{session_events, user_settings, users};
use crate::store::users::{
    FindUsers, LastAdmin, PasswordChange, SettingsChange, UserOutcome, UserPage, UserRecord,
    UserSettings, UserStore, search,
};
use crate::store::{ActingSession, DieselStore, RevokeScope, StoreError, UserId};

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

    fn user_with_settings(
        &self,
        id: &UserId,
    ) -> Result<Option<(UserRecord, UserSettings)>, StoreError> {
        if !id.is_possible() {
            return Ok(None);
        }
        self.read(|connection| {
            let found = run_on!(connection, |connection| {
                users::table
                    .find(id)
                    .left_join(user_settings::table)
                    .select((UserRow::as_select(), Option::<SettingsRow>::as_select()))
                    .first(connection)
                    .optional()?
            });
            Ok(
                found.map(|(user, settings): (UserRow, Option<SettingsRow>)| {
                    (user.into(), settings.map(Into::into).unwrap_or_default())
                }),
            )
        })
    }

    fn change_settings(&self, id: &UserId, change: &SettingsChange) -> Result<bool, StoreError> {
        if !id.is_possible() {
            return Ok(false);
        }
        let changed = self.change(|connection| {
            connection.transaction(|connection| Ok(settings::write(connection, id, change)?))
        });
        match changed {
            Ok(()) => Ok(true),
            // The row refers to a user who does not exist.
            Err(StoreError::Constraint(_)) => Ok(false),
            Err(error) => Err(error),
        }
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
            settings::delete(connection, id)?;
            let user = diesel::delete(users::table.find(id));
            run_on!(connection, |connection| {
                events.execute(connection)?;
                user.execute(connection)?;
            });
            Ok(UserOutcome::Done(ended))
        })
    }
}
