//! [`UserStore`] on the pool, and the end of a user's sessions.

mod change;
pub(in crate::store) mod ends;
mod last_admin;
mod row;
mod settings;

use std::ops::Bound;

use diesel::prelude::*;
use diesel::result::Error as DieselError;

use self::change::record;
use self::ends::{end, rotate};
use self::row::{NewUser, UserRow};
use self::settings::SettingsRow;
use super::connect::connection::run_on;
use super::error::SqlError;
use super::login::in_time;
use super::schema::{user_settings, users};
use crate::store::users::{
    FindUsers, PasswordChange, SettingsChange, UserChange, UserOutcome, UserPage, UserRecord,
    UserSettings, UserStore, search,
};
use crate::store::{DieselStore, RevokeScope, StoreError, UserId};

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
        let source = self.options.users;
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
                record(connection, change.event.as_ref(), source)?;
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

    fn change_user(&self, change: &UserChange) -> Result<UserOutcome, StoreError> {
        self.apply_change(change)
    }
}
