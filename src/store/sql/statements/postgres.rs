//! Code specific to PostgreSQL: hot statements.
//!
//! A batch is one statement over arrays, so its text does not depend on its size and is prepared
//! once. Rows are sent in the order of their ids, so that two batches over the same sessions lock
//! them in the same order.
//!
//! None of them is planned at each run. PostgreSQL keeps a plan if it expects one for the actual
//! values to cost as much, but it knows the length of an actual array and expects ten elements of
//! an unknown one. The condition `w.session_id = w.session_id || ''`, which is always true, makes
//! it expect one row in both cases. It therefore also reads an index even if the table was empty
//! when the plan was made, and never the whole table. Loads and saves of one session have statements
//! of their own.

mod by_handle;
mod held;
mod single;
mod sweep;

use chrono::NaiveDateTime;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamp};
use uuid::Uuid;

use super::batch::{atomically, first_of_each_session, outcomes};
use super::keyed::{KeyedRotation, distinct};
use super::statement::statement;
use crate::store::sql::row::{NewRow, SessionRow};
use crate::store::sql::run::contention::HeldRows;
use crate::store::sql::schema::sessions;
use crate::store::{
    NewSession, RotateOutcome, SaveOutcome, SaveSession, SessionHandle, SessionKey, TouchSession,
    UserId, WriteBatch, WriteOutcome,
};

pub(in crate::store) use by_handle::{delete, find_live};
pub(in crate::store) use held::delete as delete_free;
pub(super) use single::save as save_one;
pub(super) use sweep::SHORT_WAIT;
pub(in crate::store) use sweep::sweep;

/// Loads many sessions, by their lookup halves alone: their handles would cost more than they find.
struct Load {
    columns: AsSelect<SessionRow, Pg>,
    session_ids: Vec<String>,
}

impl QueryId for Load {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Load {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(" FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.session_ids)?;
        out.push_sql(
            "::text[]) AS w (session_id) JOIN sessions ON sessions.session_id = w.session_id \
             WHERE w.session_id = w.session_id || ''",
        );
        Ok(())
    }
}

impl Query for Load {
    type SqlType = SqlTypeOf<AsSelect<SessionRow, Pg>>;
}

impl RunQueryDsl<PgConnection> for Load {}

pub(in crate::store) fn load(
    connection: &mut PgConnection,
    keys: &[SessionKey],
) -> QueryResult<Vec<SessionRow>> {
    if let [key] = keys {
        return single::load(connection, key.session_id);
    }
    Load {
        columns: SessionRow::as_select(),
        session_ids: distinct(keys).iter().map(Uuid::to_string).collect(),
    }
    .load(connection)
}

/// Runs a batch as one statement per kind of write.
pub(in crate::store) fn write(
    connection: &mut PgConnection,
    batch: &WriteBatch<'_>,
    held_rows: HeldRows<'_>,
) -> QueryResult<WriteOutcome> {
    atomically(connection, batch, |connection| {
        write_each_kind(connection, batch, held_rows)
    })
}

fn write_each_kind(
    connection: &mut PgConnection,
    batch: &WriteBatch<'_>,
    held_rows: HeldRows<'_>,
) -> QueryResult<WriteOutcome> {
    let mut written = WriteOutcome::default();
    if !batch.creates.is_empty() {
        create(connection, batch.creates)?;
    }
    if !batch.saves.is_empty() {
        written.saved = match held_rows {
            HeldRows::Wait => save(connection, batch.saves)?,
            HeldRows::Skip(_) => held::save(connection, batch.saves)?,
        };
    }
    if !batch.touches.is_empty() {
        written.touched = touch(connection, batch.touches)?;
    }
    Ok(written)
}

statement! {
    /// Inserts sessions.
    Create on Pg, PgConnection;
    "INSERT INTO sessions (id, session_id, token_hash, user_id, data, version, expires_at, \
     absolute_expires_at, last_seen_at, user_agent, ip, created_at, updated_at, kind) \
     SELECT n.id, n.session_id, n.token_hash, n.user_id, n.data, 0, n.expires_at, \
     n.absolute_expires_at, n.now, n.user_agent, n.ip, n.now, n.now, n.kind \
     FROM unnest(" ids: Vec<SessionHandle> as Array<Text>,
    "::text[], " session_ids: Vec<String> as Array<Text>,
    "::text[], " token_hashes: Vec<Vec<u8>> as Array<Binary>,
    "::bytea[], " user_ids: Vec<Option<UserId>> as Array<Nullable<Text>>,
    "::text[], " data: Vec<String> as Array<Text>,
    "::text[], " expires_at: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " absolute_expires_at: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " user_agents: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[], " ips: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " kinds: Vec<String> as Array<Text>;
    "::text[]) AS n (id, session_id, token_hash, user_id, data, expires_at, \
     absolute_expires_at, user_agent, ip, now, kind)"
}

pub(super) fn create(connection: &mut PgConnection, new: &[NewSession]) -> QueryResult<usize> {
    // Only logins create sessions with more columns, and their own transaction inserts those.
    if new.iter().any(NewSession::has_sign_in) {
        let rows: Vec<NewRow> = new.iter().map(NewRow::from).collect();
        return diesel::insert_into(sessions::table)
            .values(rows)
            .execute(connection);
    }
    Create {
        ids: new.iter().map(|n| n.id.clone()).collect(),
        session_ids: new.iter().map(|n| n.session_id.to_string()).collect(),
        token_hashes: new
            .iter()
            .map(|n| n.token_hash.as_bytes().to_vec())
            .collect(),
        user_ids: new.iter().map(|n| n.user_id.clone()).collect(),
        data: new.iter().map(|n| n.data.clone()).collect(),
        expires_at: new.iter().map(|n| n.expires_at.naive_utc()).collect(),
        absolute_expires_at: new
            .iter()
            .map(|n| n.absolute_expires_at.naive_utc())
            .collect(),
        user_agents: new.iter().map(|n| n.user_agent.clone()).collect(),
        ips: new.iter().map(|n| n.ip.clone()).collect(),
        times: new.iter().map(|n| n.now.naive_utc()).collect(),
        kinds: new.iter().map(|n| n.kind.clone()).collect(),
    }
    .execute(connection)
}

statement! {
    /// Compare-and-swap of many sessions' data. Yields the lookup halves of the sessions written.
    Save on Pg, PgConnection, returns Text;
    "UPDATE sessions AS s SET version = s.version + 1, data = w.data, updated_at = w.now \
     FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " ids: Vec<Option<SessionHandle>> as Array<Nullable<Text>>,
    "::text[], " versions: Vec<i64> as Array<BigInt>,
    "::int8[], " data: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>;
    "::timestamp[]) AS w (session_id, id, version, data, now) \
     WHERE w.session_id = w.session_id || '' AND s.session_id = w.session_id \
     AND s.id = coalesce(w.id, s.id) AND s.version = w.version AND s.expires_at > w.now RETURNING s.session_id"
}

fn save(connection: &mut PgConnection, writes: &[SaveSession]) -> QueryResult<Vec<SaveOutcome>> {
    if let [write] = writes
        && let Some(id) = &write.id
    {
        return save_one(connection, id, write);
    }
    let (sent, is_first) = first_of_each_session(writes);
    let written: Vec<String> = Save {
        session_ids: sent.iter().map(|w| w.session_id.to_string()).collect(),
        ids: sent.iter().map(|w| w.id.clone()).collect(),
        versions: sent.iter().map(|w| w.version).collect(),
        data: sent.iter().map(|w| w.data.clone()).collect(),
        times: sent.iter().map(|w| w.now.naive_utc()).collect(),
    }
    .load(connection)?;
    let changed = written.into_iter().map(|id| (id, true)).collect();
    Ok(outcomes(writes, &is_first, &changed, SaveOutcome::OF_ROWS))
}

statement! {
    /// Touches many sessions. Rows that another transaction has locked are skipped. A batch that
    /// holds row locks therefore never waits for others and cannot deadlock.
    Touch on Pg, PgConnection;
    "WITH free AS MATERIALIZED (SELECT s.id AS row_id, w.* FROM unnest("
        session_ids: Vec<String> as Array<Text>,
    "::text[], " ids: Vec<Option<SessionHandle>> as Array<Nullable<Text>>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " expires_at: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " user_agents: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[], " ips: Vec<Option<String>> as Array<Nullable<Text>>;
    "::text[]) AS w (session_id, id, now, expires_at, user_agent, ip) \
     JOIN sessions AS s ON s.session_id = w.session_id AND s.id = coalesce(w.id, s.id) \
     WHERE w.session_id = w.session_id || '' FOR NO KEY UPDATE OF s SKIP LOCKED) \
     UPDATE sessions AS s SET last_seen_at = greatest(s.last_seen_at, w.now), \
     expires_at = greatest(s.expires_at, least(s.absolute_expires_at, w.expires_at)), \
     user_agent = coalesce(w.user_agent, s.user_agent), ip = coalesce(w.ip, s.ip) \
     FROM free AS w WHERE s.id = w.row_id AND s.expires_at > w.now"
}

fn touch(connection: &mut PgConnection, touches: &[TouchSession]) -> QueryResult<usize> {
    let (touches, _) = first_of_each_session(touches);
    Touch {
        session_ids: touches.iter().map(|t| t.session_id.to_string()).collect(),
        ids: touches.iter().map(|t| t.id.clone()).collect(),
        times: touches.iter().map(|t| t.now.naive_utc()).collect(),
        expires_at: touches.iter().map(|t| t.expires_at.naive_utc()).collect(),
        user_agents: touches.iter().map(|t| t.user_agent.clone()).collect(),
        ips: touches.iter().map(|t| t.ip.clone()).collect(),
    }
    .execute(connection)
}

statement! {
    /// Gives many sessions new tokens. Yields the old lookup halves of the sessions rotated.
    Rotate on Pg, PgConnection, returns Text;
    "UPDATE sessions AS s SET session_id = r.new_session_id, token_hash = r.token_hash, \
     updated_at = r.now FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " ids: Vec<Option<SessionHandle>> as Array<Nullable<Text>>,
    "::text[], " new_session_ids: Vec<String> as Array<Text>,
    "::text[], " token_hashes: Vec<Vec<u8>> as Array<Binary>,
    "::bytea[], " times: Vec<NaiveDateTime> as Array<Timestamp>;
    "::timestamp[]) AS r (session_id, id, new_session_id, token_hash, now) \
     WHERE r.session_id = r.session_id || '' AND s.session_id = r.session_id \
     AND s.id = coalesce(r.id, s.id) AND s.expires_at > r.now RETURNING r.session_id"
}

fn rotate(
    connection: &mut PgConnection,
    rotations: &[KeyedRotation<'_>],
) -> QueryResult<Vec<RotateOutcome>> {
    let (sent, is_first) = first_of_each_session(rotations);
    let of = |it: &&KeyedRotation<'_>| it.rotation.session_id.to_string();
    let rotated: Vec<String> = Rotate {
        session_ids: sent.iter().map(of).collect(),
        ids: sent.iter().map(|it| it.id.cloned()).collect(),
        new_session_ids: sent
            .iter()
            .map(|it| it.rotation.new_session_id.to_string())
            .collect(),
        token_hashes: sent
            .iter()
            .map(|it| it.rotation.new_token_hash.as_bytes().to_vec())
            .collect(),
        times: sent.iter().map(|it| it.rotation.now.naive_utc()).collect(),
    }
    .load(connection)?;
    let changed = rotated.into_iter().map(|id| (id, true)).collect();
    let of_rows = RotateOutcome::OF_ROWS;
    Ok(outcomes(rotations, &is_first, &changed, of_rows))
}

/// Rotates sessions and returns the outcome of each.
pub(in crate::store) fn try_rotate(
    connection: &mut PgConnection,
    rotations: &[KeyedRotation<'_>],
    held_rows: HeldRows<'_>,
) -> QueryResult<Vec<RotateOutcome>> {
    match held_rows {
        HeldRows::Wait => rotate(connection, rotations),
        HeldRows::Skip(_) => held::rotate(connection, rotations),
    }
}

/// Returns whether the server has visibly closed the connection. This checks the socket and needs
/// no round trip.
pub(in crate::store) fn is_closed(connection: &mut PgConnection) -> bool {
    let mut is_closed = || {
        let notification = connection.notifications_iter().next();
        notification.is_some_and(|notification| notification.is_err())
    };
    // The first check may find the server's last message, and only the second that the connection
    // is closed.
    is_closed() || is_closed()
}

/// Returns the server's current time in UTC.
pub(in crate::store) fn clock(connection: &mut PgConnection) -> QueryResult<NaiveDateTime> {
    diesel::select(diesel::dsl::sql::<Timestamp>(
        "clock_timestamp() AT TIME ZONE 'UTC'",
    ))
    .get_result(connection)
}
