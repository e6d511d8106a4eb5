//! Hot statements for engines that speak PostgreSQL's language without being one PostgreSQL: Citus
//! with distributed sessions, CockroachDB, YugabyteDB.
//!
//! They lock no rows and skip none, name no place in a table, and take no explicit locks. Each names
//! its rows by handle, by which a sharded table is distributed, so a batch asks only the shards of
//! its rows. The handles are also given as a plain array, because the planner of a sharded database
//! does not look into a join for the shards.

mod sweep;

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamp};
use uuid::Uuid;

use super::keyed::{KeyedRotation, first_of_each_session};
use super::postgres;
use super::statement::statement;
use crate::store::sql::row::SessionRow;
use crate::store::sql::run::contention::HeldRows;
use crate::store::sql::schema::sessions;
use crate::store::{
    RotateOutcome, SaveOutcome, SaveSession, SessionHandle, SessionKey, TouchSession, WriteBatch,
    WriteOutcome,
};

pub(in crate::store) use sweep::sweep;

/// Loads many sessions.
struct Load {
    columns: AsSelect<SessionRow, Pg>,
    ids: Vec<SessionHandle>,
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
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.session_ids)?;
        out.push_sql(
            "::text[]) AS w (id, session_id) JOIN sessions ON sessions.id = w.id \
             AND sessions.session_id = w.session_id WHERE sessions.id = ANY(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql(")");
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
    if let [_] = keys {
        return postgres::load(connection, keys);
    }
    let (sent, _) = first_of_each_session(keys, |key| key.session_id);
    let (known, unknown): (Vec<_>, Vec<_>) = sent.into_iter().partition(|key| key.id.is_some());
    let mut rows = Vec::with_capacity(keys.len());
    if !known.is_empty() {
        let load = Load {
            columns: SessionRow::as_select(),
            ids: known.iter().filter_map(|key| key.id.clone()).collect(),
            session_ids: known.iter().map(|key| key.session_id.to_string()).collect(),
        };
        rows.extend(load.load(connection)?);
    }
    if !unknown.is_empty() {
        let session_ids = unknown.iter().map(|key| key.session_id.to_string());
        let found: Vec<SessionRow> = sessions::table
            .filter(sessions::session_id.eq_any(session_ids))
            .select(SessionRow::as_select())
            .load(connection)?;
        rows.extend(found);
    }
    Ok(rows)
}

/// The handles of a batch, looked up for the items of which only the lookup half is known.
struct Handles(HashMap<Uuid, SessionHandle>);

impl Handles {
    fn of<'k>(
        connection: &mut PgConnection,
        keys: impl Iterator<Item = (Uuid, Option<&'k SessionHandle>)>,
    ) -> QueryResult<Self> {
        let mut known = HashMap::new();
        let mut unknown = Vec::new();
        for (session_id, id) in keys {
            match id {
                Some(id) => drop(known.insert(session_id, id.clone())),
                None => unknown.push(session_id.to_string()),
            }
        }
        if !unknown.is_empty() {
            let found: Vec<(String, SessionHandle)> = sessions::table
                .filter(sessions::session_id.eq_any(unknown))
                .select((sessions::session_id, sessions::id))
                .load(connection)?;
            let found = found.into_iter();
            known.extend(found.filter_map(|(session_id, id)| Some((session_id.parse().ok()?, id))));
        }
        Ok(Self(known))
    }

    /// Returns the items whose sessions exist, each once, in the order of their handles. The order
    /// makes two batches lock rows in the same order on each shard.
    fn sent<'i, T>(
        &self,
        items: &'i [T],
        session_id: impl Fn(&T) -> Uuid,
    ) -> (Vec<(&SessionHandle, &'i T)>, Vec<bool>) {
        let (first, is_first) = first_of_each_session(items, &session_id);
        let mut sent: Vec<(&SessionHandle, &T)> = first
            .into_iter()
            .filter_map(|item| Some((self.0.get(&session_id(item))?, item)))
            .collect();
        sent.sort_unstable_by_key(|(id, _)| *id);
        (sent, is_first)
    }
}

/// Runs a batch as one statement per kind of write, in a transaction if there are several kinds.
pub(in crate::store) fn write(
    connection: &mut PgConnection,
    batch: &WriteBatch<'_>,
    _: HeldRows,
) -> QueryResult<WriteOutcome> {
    if batch.is_of_one_kind() {
        write_each_kind(connection, batch)
    } else {
        connection.transaction(|connection| write_each_kind(connection, batch))
    }
}

fn write_each_kind(
    connection: &mut PgConnection,
    batch: &WriteBatch<'_>,
) -> QueryResult<WriteOutcome> {
    let mut written = WriteOutcome::default();
    if !batch.creates.is_empty() {
        postgres::create(connection, batch.creates)?;
    }
    if !batch.saves.is_empty() {
        written.saved = save(connection, batch.saves)?;
    }
    if !batch.touches.is_empty() {
        written.touched = touch(connection, batch.touches)?;
    }
    Ok(written)
}

statement! {
    /// Compare-and-swap of many sessions' data. Yields the lookup halves of the sessions written.
    Save on Pg, PgConnection, returns Text;
    "UPDATE sessions AS s SET version = s.version + 1, data = w.data, updated_at = w.now \
     FROM unnest(" ids: Vec<SessionHandle> as Array<Text>,
    "::text[], " session_ids: Vec<String> as Array<Text>,
    "::text[], " versions: Vec<i64> as Array<BigInt>,
    "::int8[], " data: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[]) AS w (id, session_id, version, data, now) WHERE s.id = ANY("
        shards: Vec<SessionHandle> as Array<Text>;
    ") AND s.id = w.id AND s.session_id = w.session_id AND s.version = w.version \
     AND s.expires_at > w.now RETURNING s.session_id"
}

fn save(connection: &mut PgConnection, writes: &[SaveSession]) -> QueryResult<Vec<SaveOutcome>> {
    if let [write] = writes
        && let Some(id) = &write.id
    {
        return postgres::save_one(connection, id, write);
    }
    let handles = Handles::of(
        connection,
        writes
            .iter()
            .map(|write| (write.session_id, write.id.as_ref())),
    )?;
    let (sent, is_first) = handles.sent(writes, |write| write.session_id);
    let ids: Vec<SessionHandle> = sent.iter().map(|(id, _)| (*id).clone()).collect();
    let written: HashSet<String> = Save {
        shards: ids.clone(),
        ids,
        session_ids: sent.iter().map(|(_, w)| w.session_id.to_string()).collect(),
        versions: sent.iter().map(|(_, w)| w.version).collect(),
        data: sent.iter().map(|(_, w)| w.data.clone()).collect(),
        times: sent.iter().map(|(_, w)| w.now.naive_utc()).collect(),
    }
    .load(connection)?
    .into_iter()
    .collect();
    Ok(postgres::save_outcomes(writes, &is_first, &written))
}

statement! {
    /// Touches many sessions. The later times count, whichever batch is first.
    Touch on Pg, PgConnection;
    "UPDATE sessions AS s SET last_seen_at = greatest(s.last_seen_at, w.now), \
     expires_at = greatest(s.expires_at, least(s.absolute_expires_at, w.expires_at)), \
     user_agent = coalesce(w.user_agent, s.user_agent), ip = coalesce(w.ip, s.ip) FROM unnest("
        ids: Vec<SessionHandle> as Array<Text>,
    "::text[], " session_ids: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " expires_at: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " user_agents: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[], " ips: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[]) AS w (id, session_id, now, expires_at, user_agent, ip) WHERE s.id = ANY("
        shards: Vec<SessionHandle> as Array<Text>;
    ") AND s.id = w.id AND s.session_id = w.session_id AND s.expires_at > w.now"
}

fn touch(connection: &mut PgConnection, touches: &[TouchSession]) -> QueryResult<usize> {
    let handles = Handles::of(
        connection,
        touches
            .iter()
            .map(|touch| (touch.session_id, touch.id.as_ref())),
    )?;
    let (sent, _) = handles.sent(touches, |touch| touch.session_id);
    let ids: Vec<SessionHandle> = sent.iter().map(|(id, _)| (*id).clone()).collect();
    Touch {
        shards: ids.clone(),
        ids,
        session_ids: sent.iter().map(|(_, t)| t.session_id.to_string()).collect(),
        times: sent.iter().map(|(_, t)| t.now.naive_utc()).collect(),
        expires_at: sent.iter().map(|(_, t)| t.expires_at.naive_utc()).collect(),
        user_agents: sent.iter().map(|(_, t)| t.user_agent.clone()).collect(),
        ips: sent.iter().map(|(_, t)| t.ip.clone()).collect(),
    }
    .execute(connection)
}

statement! {
    /// Gives many sessions new tokens. Yields the old lookup halves of the sessions rotated.
    Rotate on Pg, PgConnection, returns Text;
    "UPDATE sessions AS s SET session_id = r.new_session_id, token_hash = r.token_hash, \
     updated_at = r.now FROM unnest(" ids: Vec<SessionHandle> as Array<Text>,
    "::text[], " session_ids: Vec<String> as Array<Text>,
    "::text[], " new_session_ids: Vec<String> as Array<Text>,
    "::text[], " token_hashes: Vec<Vec<u8>> as Array<Binary>,
    "::bytea[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[]) AS r (id, session_id, new_session_id, token_hash, now) WHERE s.id = ANY("
        shards: Vec<SessionHandle> as Array<Text>;
    ") AND s.id = r.id AND s.session_id = r.session_id AND s.expires_at > r.now \
     RETURNING r.session_id"
}

/// Rotates sessions and returns the outcome of each.
pub(in crate::store) fn try_rotate(
    connection: &mut PgConnection,
    rotations: &[KeyedRotation<'_>],
    _: HeldRows,
) -> QueryResult<Vec<RotateOutcome>> {
    let handles = Handles::of(
        connection,
        rotations.iter().map(|it| (it.rotation.session_id, it.id)),
    )?;
    let (sent, is_first) = handles.sent(rotations, |it| it.rotation.session_id);
    let ids: Vec<SessionHandle> = sent.iter().map(|(id, _)| (*id).clone()).collect();
    let sent: Vec<_> = sent.into_iter().map(|(_, it)| it.rotation).collect();
    let rotated: HashSet<String> = Rotate {
        shards: ids.clone(),
        ids,
        session_ids: sent.iter().map(|r| r.session_id.to_string()).collect(),
        new_session_ids: sent.iter().map(|r| r.new_session_id.to_string()).collect(),
        token_hashes: sent
            .iter()
            .map(|r| r.new_token_hash.as_bytes().to_vec())
            .collect(),
        times: sent.iter().map(|r| r.now.naive_utc()).collect(),
    }
    .load(connection)?
    .into_iter()
    .collect();
    let outcome = |(it, is_first): (&KeyedRotation<'_>, bool)| {
        RotateOutcome::of(is_first && rotated.contains(&it.rotation.session_id.to_string()))
    };
    Ok(rotations.iter().zip(is_first).map(outcome).collect())
}

pub(in crate::store) fn find_live(
    connection: &mut PgConnection,
    ids: &[SessionHandle],
    now: NaiveDateTime,
) -> QueryResult<Vec<SessionHandle>> {
    sessions::table
        .filter(sessions::id.eq_any(ids))
        .filter(sessions::expires_at.gt(now))
        .select(sessions::id)
        .load(connection)
}

pub(in crate::store) fn delete(
    connection: &mut PgConnection,
    handles: &[SessionHandle],
) -> QueryResult<Vec<SessionHandle>> {
    let handles = handles.iter().filter(|handle| handle.is_possible());
    diesel::delete(sessions::table.filter(sessions::id.eq_any(handles)))
        .returning(sessions::id)
        .get_results(connection)
}
