//! [`StatsStore`] on the pool.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::dsl::{case_when, count, count_star};
use diesel::prelude::*;
use diesel::upsert::excluded;

use super::connect::connection::{AnyConnection, run_on};
use super::schema::{session_stats, session_stats_users, session_sweeps, sessions};
use crate::store::stats::{Census, EndReason, HourStats, StatsStore, SweepRecord, UsageDelta};
use crate::store::{DieselStore, StoreError, UserId};

/// How long the user ids of an hour are kept, for instances that report late.
const USERS_KEPT: TimeDelta = TimeDelta::hours(2);

/// Maximum number of rows per insert.
const CHUNK: usize = 1000;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = session_stats)]
struct HourRow {
    hour: NaiveDateTime,
    created: i64,
    ended_logout: i64,
    ended_revoked: i64,
    ended_replaced: i64,
    ended_expired: i64,
    ended_cleared: i64,
    peak_active: i64,
    users: i64,
}

impl From<&UsageDelta> for HourRow {
    fn from(delta: &UsageDelta) -> Self {
        let ended = |reason| signed(delta.ended.of(reason));
        Self {
            hour: delta.hour.naive_utc(),
            created: signed(delta.created),
            ended_logout: ended(EndReason::Logout),
            ended_revoked: ended(EndReason::Revoked),
            ended_replaced: ended(EndReason::Replaced),
            ended_expired: ended(EndReason::Expired),
            ended_cleared: ended(EndReason::Cleared),
            peak_active: signed(delta.active),
            users: 0,
        }
    }
}

impl From<HourRow> for HourStats {
    fn from(row: HourRow) -> Self {
        let ended = [
            (EndReason::Logout, row.ended_logout),
            (EndReason::Revoked, row.ended_revoked),
            (EndReason::Replaced, row.ended_replaced),
            (EndReason::Expired, row.ended_expired),
            (EndReason::Cleared, row.ended_cleared),
        ];
        Self {
            hour: row.hour.and_utc(),
            created: unsigned(row.created),
            ended: ended
                .map(|(reason, number)| (reason, unsigned(number)))
                .into_iter()
                .collect(),
            peak_active: unsigned(row.peak_active),
            users: unsigned(row.users),
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = session_sweeps)]
#[diesel(treat_none_as_default_value = false)]
struct SweepRow {
    id: String,
    started_at: NaiveDateTime,
    elapsed_ms: i64,
    deleted: i64,
    error: Option<String>,
}

impl From<SweepRow> for SweepRecord {
    fn from(row: SweepRow) -> Self {
        Self {
            started_at: row.started_at.and_utc(),
            elapsed: Duration::from_millis(unsigned(row.elapsed_ms)),
            deleted: unsigned(row.deleted),
            error: row.error,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = session_stats_users)]
struct UserSeen<'a> {
    hour: NaiveDateTime,
    user_id: &'a str,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Adds a row's counts to its hour. Diesel's connection enum has no upsert, but both databases do.
fn add_hour(connection: &mut AnyConnection<'_>, row: HourRow) -> QueryResult<()> {
    use session_stats as s;
    run_on!(connection, |connection| {
        diesel::insert_into(s::table)
            .values(row)
            .on_conflict(s::hour)
            .do_update()
            .set((
                s::created.eq(s::created + excluded(s::created)),
                s::ended_logout.eq(s::ended_logout + excluded(s::ended_logout)),
                s::ended_revoked.eq(s::ended_revoked + excluded(s::ended_revoked)),
                s::ended_replaced.eq(s::ended_replaced + excluded(s::ended_replaced)),
                s::ended_expired.eq(s::ended_expired + excluded(s::ended_expired)),
                s::ended_cleared.eq(s::ended_cleared + excluded(s::ended_cleared)),
                s::users.eq(
                    case_when(excluded(s::users).gt(s::users), excluded(s::users))
                        .otherwise(s::users),
                ),
                s::peak_active.eq(case_when(
                    excluded(s::peak_active).gt(s::peak_active),
                    excluded(s::peak_active),
                )
                .otherwise(s::peak_active)),
            ))
            .execute(connection)?;
    });
    Ok(())
}

/// Adds the counts of an hour and updates the number of users seen in it so far.
fn add_delta(connection: &mut AnyConnection<'_>, delta: &UsageDelta) -> QueryResult<()> {
    let mut row = HourRow::from(delta);
    if !delta.users.is_empty() {
        let users = session_stats_users::table
            .filter(session_stats_users::hour.eq(row.hour))
            .count();
        row.users = run_on!(connection, |connection| users.get_result(connection)?);
    }
    add_hour(connection, row)
}

/// Records the users seen in an hour. Repeating it changes nothing.
fn add_users(
    connection: &mut AnyConnection<'_>,
    hour: NaiveDateTime,
    users: &[&str],
) -> QueryResult<()> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => connection.immediate_transaction(|connection| {
            for user_id in users {
                diesel::insert_or_ignore_into(session_stats_users::table)
                    .values(UserSeen { hour, user_id })
                    .execute(connection)?;
            }
            Ok(())
        }),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => {
            let seen: Vec<UserSeen<'_>> = users
                .iter()
                .map(|user_id| UserSeen { hour, user_id })
                .collect();
            diesel::insert_into(session_stats_users::table)
                .values(&seen)
                .on_conflict_do_nothing()
                .execute(&mut **connection)
                .map(drop)
        }
    }
}

/// Counts all live sessions, and those of users among them.
fn live_and_signed_in(
    connection: &mut AnyConnection<'_>,
    now: NaiveDateTime,
) -> QueryResult<(i64, i64)> {
    let live = sessions::table.filter(sessions::expires_at.gt(now));
    match connection {
        // SQLite would look up the user of every session. Two indexes have all that is needed, except
        // about the sessions that have expired.
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => {
            let of_users = sessions::table.filter(sessions::user_id.is_not_null());
            let expired = sessions::table.filter(sessions::expires_at.le(now));
            let counts = diesel::select((
                live.count().single_value().assume_not_null(),
                of_users.count().single_value().assume_not_null(),
                expired
                    .select(count(sessions::user_id))
                    .single_value()
                    .assume_not_null(),
            ));
            let (active, of_users, expired): (i64, i64, i64) = counts.get_result(*connection)?;
            Ok((active, of_users - expired))
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => live
            .select((count_star(), count(sessions::user_id)))
            .first(*connection),
    }
}

impl StatsStore for DieselStore {
    fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        for delta in deltas {
            // Sorted, so that instances that report the same users do not deadlock, and in chunks,
            // so that no one waits long for them.
            let mut users: Vec<&str> = delta.users.iter().map(UserId::as_str).collect();
            users.sort_unstable();
            for users in users.chunks(CHUNK) {
                let hour = delta.hour.naive_utc();
                self.change(|connection| Ok(add_users(connection, hour, users)?))?;
            }
        }
        self.change(|connection| {
            connection.transaction(|connection| {
                // The transaction begins with a write, because SQLite refuses a write at once if
                // another process has written since the transaction's first read.
                let none = session_stats::table.filter(session_stats::hour.is_null());
                run_on!(connection, |connection| diesel::delete(none)
                    .execute(connection)?);
                for delta in deltas {
                    add_delta(connection, delta)?;
                }
                Ok(())
            })
        })
    }

    fn usage(&self, from: DateTime<Utc>) -> Result<Vec<HourStats>, StoreError> {
        let from = from.naive_utc();
        self.read(|connection| {
            let hours: Vec<HourRow> = run_on!(connection, |connection| {
                session_stats::table
                    .filter(session_stats::hour.ge(from))
                    .order(session_stats::hour)
                    .select(HourRow::as_select())
                    .load(connection)?
            });
            Ok(hours.into_iter().map(Into::into).collect())
        })
    }

    fn add_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError> {
        self.change(|connection| {
            let row = SweepRow {
                id: cuid2::create_id(),
                started_at: sweep.started_at.naive_utc(),
                elapsed_ms: i64::try_from(sweep.elapsed.as_millis()).unwrap_or(i64::MAX),
                deleted: signed(sweep.deleted),
                error: sweep.error.clone(),
            };
            run_on!(connection, |connection| {
                diesel::insert_into(session_sweeps::table)
                    .values(row)
                    .execute(connection)?
            });
            Ok(())
        })
    }

    fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, StoreError> {
        let rows: Vec<SweepRow> = self.read(|connection| {
            Ok(run_on!(connection, |connection| {
                session_sweeps::table
                    .order(session_sweeps::started_at.desc())
                    .limit(limit.into())
                    .select(SweepRow::as_select())
                    .load(connection)?
            }))
        })?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    fn forget(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let over = (now - USERS_KEPT).naive_utc();
        self.change(|connection| {
            connection.transaction(|connection| {
                run_on!(connection, |connection| {
                    let old =
                        session_stats::table.filter(session_stats::hour.lt(before.naive_utc()));
                    diesel::delete(old).execute(connection)?;
                    let old = session_sweeps::table
                        .filter(session_sweeps::started_at.lt(before.naive_utc()));
                    diesel::delete(old).execute(connection)?;
                    let seen: Vec<(NaiveDateTime, i64)> = session_stats_users::table
                        .filter(session_stats_users::hour.lt(over))
                        .group_by(session_stats_users::hour)
                        .select((session_stats_users::hour, count_star()))
                        .load(connection)?;
                    for (hour, users) in seen {
                        let row = session_stats::table
                            .find(hour)
                            .filter(session_stats::users.lt(users));
                        diesel::update(row)
                            .set(session_stats::users.eq(users))
                            .execute(connection)?;
                    }
                    let over =
                        session_stats_users::table.filter(session_stats_users::hour.lt(over));
                    diesel::delete(over).execute(connection)?;
                });
                Ok(())
            })
        })
    }

    fn census(&self, now: DateTime<Utc>, limit: Option<u32>) -> Result<Option<Census>, StoreError> {
        let live = sessions::table.filter(sessions::expires_at.gt(now.naive_utc()));
        self.read(|connection| {
            let Some(limit) = limit else {
                let (active, signed_in) = live_and_signed_in(connection, now.naive_utc())?;
                return Ok(Some(Census {
                    active: unsigned(active),
                    signed_in: unsigned(signed_in),
                }));
            };
            // Whether there are more, the index of deadlines alone says. Whose they are is in the rows.
            let next = live
                .order(sessions::expires_at)
                .offset(limit.into())
                .limit(1)
                .select(sessions::expires_at);
            let next: Option<NaiveDateTime> = run_on!(connection, |connection| next
                .first(connection)
                .optional()?);
            if next.is_some() {
                return Ok(None);
            }
            // One more than the limit, because there may be more by now.
            let some = live
                .limit(i64::from(limit) + 1)
                .select(sessions::user_id.is_not_null());
            let are_signed_in: Vec<bool> =
                run_on!(connection, |connection| some.load(connection)?);
            let active = are_signed_in.len() as u64;
            let signed_in = are_signed_in.into_iter().filter(|is| *is).count() as u64;
            Ok((active <= u64::from(limit)).then_some(Census { active, signed_in }))
        })
    }

    fn next_expiries(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let next = sessions::table
            .filter(sessions::expires_at.gt(now.naive_utc()))
            .order(sessions::expires_at)
            .limit(limit.into())
            .select(sessions::expires_at);
        let times: Vec<NaiveDateTime> =
            self.read(|connection| Ok(run_on!(connection, |connection| next.load(connection)?)))?;
        Ok(times.into_iter().map(|time| time.and_utc()).collect())
    }
}
