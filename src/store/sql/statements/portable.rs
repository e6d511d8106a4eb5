//! Hot statements for engines that speak PostgreSQL's language without being one PostgreSQL: Citus
//! with distributed sessions, CockroachDB, YugabyteDB.
//!
//! They lock no rows and skip none, name no place in a table, and take no explicit locks. Each names
//! its rows by handle, by which a sharded table is distributed, so a batch asks only the shards of
//! its rows. The handles are also given as a plain array, because the planner of a sharded database
//! does not look into a join for the shards.

mod locked;
mod sweep;

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDateTime;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamp};

use super::batch::{Keyed, Named, atomically, first_of_each_session, outcomes};
use super::keyed::KeyedRotation;
use super::postgres;
use super::statement::statement;
use crate::store::sql::row::{NewRow, SessionRow};
use crate::store::sql::run::contention::{Contention, HeldRows};
use crate::store::sql::schema::sessions;
use crate::store::{
    DeleteOutcome, RotateOutcome, SaveOutcome, SaveSession, SessionHandle, SessionKey,
    TouchSession, WriteBatch, WriteOutcome,
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
        out.push_sql(" FROM sessions WHERE sessions.id = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql(") AND sessions.session_id = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.session_ids)?;
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
    let (mut known, unknown): (Vec<&SessionKey>, Vec<&SessionKey>) =
        keys.iter().partition(|key| key.id.is_some());
    // No row is read twice.
    known.retain(|key| unknown.iter().all(|it| it.session_id != key.session_id));
    let mut rows = Vec::with_capacity(keys.len());
    if !known.is_empty() {
        let load = Load {
            columns: SessionRow::as_select(),
            session_ids: known.iter().map(|key| key.session_id.to_string()).collect(),
            ids: known.iter().filter_map(|key| key.id.clone()).collect(),
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

/// Returns the items whose sessions may exist, the first of each session with its handle, in the
/// order of the handles. Handles that are not known are looked up. Also returns, for each item,
/// whether it is the first of its session.
fn with_handles<'i, T: Keyed>(
    connection: &mut PgConnection,
    items: &'i [T],
) -> QueryResult<(Vec<Named<'i, T>>, Vec<bool>)> {
    let (first, is_first) = first_of_each_session(items);
    let unknown: Vec<String> = first
        .iter()
        .filter(|item| item.id().is_none())
        .map(|item| item.session_id().to_string())
        .collect();
    let mut found: HashMap<String, SessionHandle> = HashMap::new();
    if !unknown.is_empty() {
        let rows: Vec<(String, SessionHandle)> = sessions::table
            .filter(sessions::session_id.eq_any(unknown))
            .select((sessions::session_id, sessions::id))
            .load(connection)?;
        found.extend(rows);
    }
    let with_handle = |item: &'i T| {
        let looked_up = || found.remove(&item.session_id().to_string());
        let id = item.id().cloned().or_else(looked_up);
        Some((id?, item))
    };
    let mut named: Vec<Named<'i, T>> = first.into_iter().filter_map(with_handle).collect();
    named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok((named, is_first))
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
    match batch.creates {
        [] => {}
        // A statement for one shard commits in one phase.
        [new] => {
            diesel::insert_into(sessions::table)
                .values(NewRow::from(new))
                .execute(connection)?;
        }
        new => {
            postgres::create(connection, new)?;
        }
    }
    if !batch.saves.is_empty() {
        written.saved = save(connection, batch.saves, held_rows)?;
    }
    if !batch.touches.is_empty() {
        written.touched = touch(connection, batch.touches, held_rows)?;
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

fn save(
    connection: &mut PgConnection,
    writes: &[SaveSession],
    held_rows: HeldRows<'_>,
) -> QueryResult<Vec<SaveOutcome>> {
    if let ([write], HeldRows::Wait) = (writes, held_rows)
        && let Some(id) = &write.id
    {
        return postgres::save_one(connection, id, write);
    }
    let (mut named, is_first) = with_handles(connection, writes)?;
    let changed = locked::changed(connection, &mut named, held_rows, |connection, named| {
        let ids: Vec<SessionHandle> = named.iter().map(|(id, _)| id.clone()).collect();
        let writes = || named.iter().map(|(_, write)| write);
        Save {
            shards: ids.clone(),
            ids,
            session_ids: writes().map(|w| w.session_id.to_string()).collect(),
            versions: writes().map(|w| w.version).collect(),
            data: writes().map(|w| w.data.clone()).collect(),
            times: writes().map(|w| w.now.naive_utc()).collect(),
        }
        .load(connection)
    })?;
    Ok(outcomes(writes, &is_first, &changed, SaveOutcome::OF_ROWS))
}

statement! {
    /// Touches many sessions. The later times count, whichever batch is first. Yields the lookup
    /// halves of the sessions touched.
    Touch on Pg, PgConnection, returns Text;
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
    ") AND s.id = w.id AND s.session_id = w.session_id AND s.expires_at > w.now \
     RETURNING s.session_id"
}

fn touch(
    connection: &mut PgConnection,
    touches: &[TouchSession],
    held_rows: HeldRows<'_>,
) -> QueryResult<usize> {
    let (mut named, _) = with_handles(connection, touches)?;
    let changed = locked::changed(connection, &mut named, held_rows, |connection, named| {
        let ids: Vec<SessionHandle> = named.iter().map(|(id, _)| id.clone()).collect();
        let touches = || named.iter().map(|(_, touch)| touch);
        Touch {
            shards: ids.clone(),
            ids,
            session_ids: touches().map(|t| t.session_id.to_string()).collect(),
            times: touches().map(|t| t.now.naive_utc()).collect(),
            expires_at: touches().map(|t| t.expires_at.naive_utc()).collect(),
            user_agents: touches().map(|t| t.user_agent.clone()).collect(),
            ips: touches().map(|t| t.ip.clone()).collect(),
        }
        .load(connection)
    })?;
    Ok(changed.into_values().filter(|changed| *changed).count())
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
    held_rows: HeldRows<'_>,
) -> QueryResult<Vec<RotateOutcome>> {
    let (mut named, is_first) = with_handles(connection, rotations)?;
    let changed = locked::changed(connection, &mut named, held_rows, |connection, named| {
        let ids: Vec<SessionHandle> = named.iter().map(|(id, _)| id.clone()).collect();
        let rotations = || named.iter().map(|(_, it)| it.rotation);
        Rotate {
            shards: ids.clone(),
            ids,
            session_ids: rotations().map(|r| r.session_id.to_string()).collect(),
            new_session_ids: rotations().map(|r| r.new_session_id.to_string()).collect(),
            token_hashes: rotations()
                .map(|r| r.new_token_hash.as_bytes().to_vec())
                .collect(),
            times: rotations().map(|r| r.now.naive_utc()).collect(),
        }
        .load(connection)
    })?;
    let of_rows = RotateOutcome::OF_ROWS;
    Ok(outcomes(rotations, &is_first, &changed, of_rows))
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

/// Deletes the sessions whose rows are not locked.
pub(in crate::store) fn delete_free(
    connection: &mut PgConnection,
    handles: &[SessionHandle],
    contention: &Contention,
) -> QueryResult<DeleteOutcome> {
    let distinct: BTreeSet<&SessionHandle> = handles.iter().collect();
    let mut handles: Vec<SessionHandle> = distinct.into_iter().cloned().collect();
    let outcomes = locked::around(connection, &mut handles, contention, delete)?;
    Ok(DeleteOutcome {
        ended: outcomes.done.into_iter().flatten().collect(),
        held: outcomes.left,
    })
}
