//! Queries for operators of a [`DieselStore`]: filtered lists of sessions, and counts.

pub(super) mod scan;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::connect::connection::run_on;
use super::error::SqlError;
use super::row::{self, SessionRow};
use super::schema::sessions;
use crate::store::scan::forms;
use crate::store::{DieselStore, ListSessions, SessionRecord, StoreError, UserId};

/// A filter for lists of sessions. The default keeps all sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionFilter {
    /// Only sessions last used from this address.
    pub ip: Option<IpAddr>,
    /// Only sessions without a user.
    pub anonymous: bool,
    /// Only sessions that have not been used after this time.
    pub unused_since: Option<DateTime<Utc>>,
}

impl DieselStore {
    /// Returns one page of the live sessions that the filter keeps, newest token first.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    /// use chrono::{TimeDelta, Utc};
    /// use rocket_diesel_sessions::store::{ListSessions, SessionFilter};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let mut filter = SessionFilter::default();
    ///     filter.unused_since = Some(Utc::now() - TimeDelta::days(7));
    ///     for session in store.list_filtered(&ListSessions::new(Utc::now(), 100), &filter)? {
    ///         println!("{}", session.id);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the database fails or cannot be reached.
    pub fn list_filtered(
        &self,
        query: &ListSessions,
        filter: &SessionFilter,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let of_user = query.user_id.as_ref();
        if of_user.is_some_and(|user_id| !user_id.is_possible()) {
            return Ok(Vec::new());
        }
        // A boxed query is one database's.
        let rows = self.read(|connection| {
            run_on!(connection, |connection| {
                let mut live = sessions::table
                    .filter(sessions::expires_at.gt(query.now.naive_utc()))
                    .order(sessions::session_id.desc())
                    .limit(query.limit.into())
                    .select(SessionRow::as_select())
                    .into_boxed();
                if let Some(after) = query.after {
                    live = live.filter(sessions::session_id.lt(after.to_string()));
                }
                if let Some(user_id) = &query.user_id {
                    live = live.filter(sessions::user_id.eq(user_id));
                }
                if let Some(kind) = &query.kind {
                    live = live.filter(sessions::kind.eq(kind));
                }
                if let Some(ip) = filter.ip {
                    live = live.filter(sessions::ip.eq_any(forms(ip)));
                }
                if filter.anonymous {
                    live = live.filter(sessions::user_id.is_null());
                }
                if let Some(time) = filter.unused_since {
                    live = live.filter(sessions::last_seen_at.le(time.naive_utc()));
                }
                Ok(live.load(connection)?)
            })
        })?;
        Ok(row::readable(rows))
    }

    /// Returns the number of sessions that have expired by `now` and have not been deleted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<u64, StoreError> {
    ///     store.count_expired(chrono::Utc::now())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the database fails or cannot count the sessions within its timeout.
    pub fn count_expired(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let expired = sessions::table.filter(sessions::expires_at.le(now.naive_utc()));
        self.read(|connection| {
            number(run_on!(connection, |connection| expired
                .count()
                .get_result(connection)))
        })
    }

    /// Returns the number of sessions created by `now`, including expired ones.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<u64, StoreError> {
    ///     store.count_created(chrono::Utc::now())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the database fails or cannot count the sessions within its timeout.
    pub fn count_created(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let created = sessions::table.filter(sessions::created_at.le(now.naive_utc()));
        self.read(|connection| {
            number(run_on!(connection, |connection| created
                .count()
                .get_result(connection)))
        })
    }

    /// Returns the number of a user's sessions, or with `live_at`, of those that are live at that
    /// time.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<u64, StoreError> {
    ///     store.count_of_user(&"ada".into(), Some(chrono::Utc::now()))
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the database fails or cannot count the sessions within its timeout.
    pub fn count_of_user(
        &self,
        user_id: &UserId,
        live_at: Option<DateTime<Utc>>,
    ) -> Result<u64, StoreError> {
        if !user_id.is_possible() {
            return Ok(0);
        }
        let of_user = sessions::table.filter(sessions::user_id.eq(user_id));
        let since = live_at.unwrap_or(DateTime::UNIX_EPOCH).naive_utc();
        let counted = of_user.filter(sessions::expires_at.gt(since)).count();
        self.read(|connection| {
            number(run_on!(connection, |connection| counted.get_result(connection)))
        })
    }
}

fn number(counted: QueryResult<i64>) -> Result<u64, SqlError> {
    Ok(counted?.unsigned_abs())
}
