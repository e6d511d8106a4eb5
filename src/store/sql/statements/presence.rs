//! What lists of users show beside each: the live sessions and the last sign-in.
//!
//! PostgreSQL and SQLite are asked once for the last logins of all users, and PostgreSQL for their
//! sessions. Engines that may lack `LATERAL` run one prepared statement per user. Either way, a user
//! costs a limited number of rows.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Timestamp};

use crate::store::sql::connect::connection::AnyConnection;
#[cfg(feature = "postgres")]
use crate::store::sql::engine::Engine;
use crate::store::sql::error::SqlError;
use crate::store::sql::row::StoredTime;
use crate::store::{DieselStore, StoreError, UserId, UserPresence};

/// A user's live sessions: their number, and the newest sign-in.
type Live = (i64, Option<StoredTime>);
type LiveTypes = (BigInt, Nullable<Timestamp>);

#[cfg(feature = "postgres")]
mod on_postgres {
    use chrono::NaiveDateTime;
    use diesel::pg::Pg;

    use diesel::prelude::*;
    use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamp};

    use super::{Live, LiveTypes};
    use crate::store::UserId;
    use crate::store::sql::row::{StoredText, StoredTime};
    use crate::store::sql::statements::statement::statement;

    statement! {
        /// Counts at most [`UserPresence::MOST`] live sessions of each user.
        LiveOfAll on Pg, PgConnection, returns (Text, BigInt, Nullable<Timestamp>);
        "SELECT w.id, l.number, l.last FROM unnest(" ids: Vec<UserId> as Array<Text>,
        "::text[]) AS w (id) CROSS JOIN LATERAL (SELECT count(*) AS number, \
         max(coalesce(s.authenticated_at, s.created_at)) AS last FROM (SELECT authenticated_at, created_at \
         FROM sessions WHERE user_id = w.id AND expires_at > " now: NaiveDateTime as Timestamp;
        " LIMIT 1000) AS s) AS l"
    }

    statement! {
        /// Finds the last login of each user.
        LoginsOfAll on Pg, PgConnection, returns (Text, Timestamp);
        "SELECT w.id, l.at FROM unnest(" ids: Vec<UserId> as Array<Text>;
        "::text[]) AS w (id) CROSS JOIN LATERAL (SELECT at FROM session_events \
         WHERE user_id = w.id AND event = 'login' AND coalesce(reason, '') <> 'reauthentication' \
         ORDER BY id DESC LIMIT 1) AS l"
    }

    statement! {
        LiveOfOne on Pg, PgConnection, returns LiveTypes;
        "SELECT count(*), max(coalesce(s.authenticated_at, s.created_at)) FROM (SELECT authenticated_at, \
         created_at FROM sessions WHERE user_id = " id: UserId as Text,
        " AND expires_at > " now: NaiveDateTime as Timestamp;
        " LIMIT 1000) AS s"
    }

    statement! {
        LoginOfOne on Pg, PgConnection, returns Timestamp;
        "SELECT at FROM session_events WHERE user_id = " id: UserId as Text;
        " AND event = 'login' AND coalesce(reason, '') <> 'reauthentication' ORDER BY id DESC LIMIT 1"
    }

    pub(super) fn live_of_all(
        connection: &mut PgConnection,
        ids: Vec<UserId>,
        now: NaiveDateTime,
    ) -> QueryResult<Vec<(UserId, Live)>> {
        let rows: Vec<(StoredText, i64, Option<StoredTime>)> =
            LiveOfAll { ids, now }.load(connection)?;
        let row = |(id, number, last): (StoredText, _, _)| (id.shown().into(), (number, last));
        Ok(rows.into_iter().map(row).collect())
    }

    pub(super) fn logins_of_all(
        connection: &mut PgConnection,
        ids: Vec<UserId>,
    ) -> QueryResult<Vec<(UserId, StoredTime)>> {
        let rows: Vec<(StoredText, StoredTime)> = LoginsOfAll { ids }.load(connection)?;
        let row = |(id, last): (StoredText, _)| (id.shown().into(), last);
        Ok(rows.into_iter().map(row).collect())
    }

    pub(super) fn live_of_one(
        connection: &mut PgConnection,
        id: UserId,
        now: NaiveDateTime,
    ) -> QueryResult<Live> {
        LiveOfOne { id, now }.get_result(connection)
    }

    pub(super) fn login_of_one(
        connection: &mut PgConnection,
        id: UserId,
    ) -> QueryResult<Option<StoredTime>> {
        LoginOfOne { id }.get_result(connection).optional()
    }
}

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use chrono::NaiveDateTime;
    use diesel::sqlite::Sqlite;

    use diesel::prelude::*;
    use diesel::sql_types::{Nullable, Text, Timestamp};

    use super::{Live, LiveTypes};
    use crate::store::UserId;
    use crate::store::sql::row::{StoredText, StoredTime};
    use crate::store::sql::statements::statement::statement;

    statement! {
        /// Counts at most [`UserPresence::MOST`] live sessions of a user.
        LiveOfOne on Sqlite, SqliteConnection, returns LiveTypes;
        "SELECT count(*), max(coalesce(authenticated_at, created_at)) FROM (SELECT authenticated_at, \
         created_at FROM sessions WHERE user_id = " id: UserId as Text,
        " AND expires_at > " now: NaiveDateTime as Timestamp;
        " LIMIT 1000)"
    }

    #[derive(QueryableByName)]
    struct Login {
        #[diesel(sql_type = Text)]
        id: StoredText,
        #[diesel(sql_type = Nullable<Timestamp>)]
        last: Option<StoredTime>,
    }

    /// The most users of one statement. SQLite limits the number of values.
    const AT_ONCE: usize = 1000;

    /// Finds the last login of each user.
    pub(super) fn logins_of_all(
        connection: &mut SqliteConnection,
        ids: &[UserId],
    ) -> QueryResult<Vec<(UserId, StoredTime)>> {
        let mut found = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let values = vec!["(?)"; ids.len()].join(", ");
            let query = diesel::sql_query(format!(
                "WITH w (id) AS (VALUES {values}) SELECT w.id, (SELECT at FROM session_events AS e \
                 WHERE e.user_id = w.id AND e.event = 'login' \
                 AND coalesce(e.reason, '') <> 'reauthentication' \
                 ORDER BY e.id DESC LIMIT 1) AS last FROM w"
            ));
            let query = ids.iter().fold(query.into_boxed::<Sqlite>(), |query, id| {
                query.bind::<Text, _>(id)
            });
            let rows: Vec<Login> = query.load(connection)?;
            let known = |row: Login| Some((row.id.shown().into(), row.last?));
            found.extend(rows.into_iter().filter_map(known));
        }
        Ok(found)
    }

    pub(super) fn live_of_one(
        connection: &mut SqliteConnection,
        id: UserId,
        now: NaiveDateTime,
    ) -> QueryResult<Live> {
        LiveOfOne { id, now }.get_result(connection)
    }
}

/// Calls `one` for each user.
fn each<T>(
    ids: Vec<UserId>,
    mut one: impl FnMut(UserId) -> QueryResult<T>,
) -> QueryResult<Vec<(UserId, T)>> {
    ids.into_iter()
        .map(|id| Ok((id.clone(), one(id)?)))
        .collect()
}

/// Converts a time. One that cannot be read is not known.
fn time(stored: Option<StoredTime>) -> Option<DateTime<Utc>> {
    Some(stored?.0?.and_utc())
}

impl DieselStore {
    pub(in crate::store::sql) fn read_presence(
        &self,
        users: &[UserId],
        now: DateTime<Utc>,
    ) -> Result<Vec<UserPresence>, StoreError> {
        let now = now.naive_utc();
        let found = self.of_each(users, |connection, ids| match connection {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(connection) => {
                each(ids, |id| on_sqlite::live_of_one(connection, id, now))
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => match self.engine.get() {
                Engine::Postgres => on_postgres::live_of_all(connection, ids, now),
                _ => each(ids, |id| on_postgres::live_of_one(connection, id, now)),
            },
        })?;
        let has_sessions = found.into_iter().filter(|(_, (number, _))| *number > 0);
        let presence = has_sessions.map(|(user_id, (number, last))| UserPresence {
            user_id,
            sessions: u32::try_from(number).unwrap_or(u32::MAX),
            last_sign_in: time(last),
        });
        Ok(presence.collect())
    }

    pub(in crate::store::sql) fn read_last_logins(
        &self,
        users: &[UserId],
    ) -> Result<Vec<(UserId, DateTime<Utc>)>, StoreError> {
        let found = self.of_each(users, |connection, ids| match connection {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(connection) => on_sqlite::logins_of_all(connection, &ids),
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => {
                if self.engine.get() == Engine::Postgres {
                    return on_postgres::logins_of_all(connection, ids);
                }
                let of_each = each(ids, |id| on_postgres::login_of_one(connection, id))?;
                let known = |(id, last): (_, Option<_>)| Some((id, last?));
                Ok(of_each.into_iter().filter_map(known).collect())
            }
        })?;
        let known = |(id, last)| Some((id, time(Some(last))?));
        Ok(found.into_iter().filter_map(known).collect())
    }

    fn of_each<T>(
        &self,
        users: &[UserId],
        read: impl Fn(&mut AnyConnection<'_>, Vec<UserId>) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        let ids: Vec<UserId> = users
            .iter()
            .filter(|id| id.is_possible())
            .cloned()
            .collect();
        self.read(|connection| Ok::<_, SqlError>(read(connection, ids.clone())?))
    }
}
