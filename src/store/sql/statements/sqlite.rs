//! Code specific to SQLite: connection settings and hot statements.
//!
//! A batch of writes is one immediate transaction. It takes the write lock at once instead of
//! failing halfway, and needs one sync of the disk.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Timestamp};
use diesel::sqlite::Sqlite;

use super::keyed::{KeyedRotation, distinct};
use super::statement::statement;
use crate::store::sql::row::{NewRow, SessionRow};
use crate::store::sql::run::contention::{Contention, HeldRows};
use crate::store::sql::schema::sessions;
use crate::store::{
    RotateOutcome, SaveOutcome, SaveSession, SessionHandle, SessionKey, SqliteSynchronous,
    StoreOptions, SweepBatch, SweepOutcome, TouchSession, WriteBatch, WriteOutcome,
};

/// Returns the settings of a new connection. The busy timeout comes before anything that may wait.
pub(in crate::store) fn session_setup(options: &StoreOptions) -> String {
    let synchronous = match options.sqlite_synchronous {
        SqliteSynchronous::Full => "FULL",
        SqliteSynchronous::Normal => "NORMAL",
    };
    // Not `mode=ro`, because such a connection leaves the files of the write-ahead log behind.
    let query_only = if options.read_only { "ON" } else { "OFF" };
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = {synchronous}; \
         PRAGMA query_only = {query_only};",
        options.timeout.as_millis()
    )
}

pub(in crate::store) fn load(
    connection: &mut SqliteConnection,
    keys: &[SessionKey],
) -> QueryResult<Vec<SessionRow>> {
    let distinct = distinct(keys);
    // One prepared statement, run once per id. An `IN` list would be a new statement for each
    // length.
    let load_each = |connection: &mut SqliteConnection| {
        let mut rows = Vec::with_capacity(keys.len());
        for session_id in distinct {
            // Not `first`: SQLite 3.47 and newer prepares a statement with `LIMIT ?` again each time
            // that it is run.
            let row: Vec<SessionRow> = sessions::table
                .filter(sessions::session_id.eq(session_id.to_string()))
                .select(SessionRow::as_select())
                .load(connection)?;
            rows.extend(row);
        }
        Ok(rows)
    };
    if keys.len() > 1 {
        // One snapshot and one lock of the file.
        connection.transaction(load_each)
    } else {
        load_each(connection)
    }
}

/// Runs a batch in one transaction.
pub(in crate::store) fn write(
    connection: &mut SqliteConnection,
    batch: &WriteBatch<'_>,
    _: HeldRows<'_>,
) -> QueryResult<WriteOutcome> {
    connection.immediate_transaction(|connection| {
        for new in batch.creates {
            diesel::insert_into(sessions::table)
                .values(NewRow::from(new))
                .execute(connection)?;
        }
        let saved = batch
            .saves
            .iter()
            .map(|write| save(connection, write))
            .collect::<QueryResult<_>>()?;
        let mut touched = 0;
        for activity in batch.touches {
            touched += touch(connection, activity)?;
        }
        Ok(WriteOutcome { saved, touched })
    })
}

statement! {
    /// Compare-and-swap of one session's data.
    Save on Sqlite, SqliteConnection;
    "UPDATE sessions SET version = version + 1, data = " data: String as Text,
    ", updated_at = " now: NaiveDateTime as Timestamp,
    " WHERE session_id = " session_id: String as Text,
    " AND id = coalesce(" id: Option<SessionHandle> as Nullable<Text>,
    ", id) AND version = " version: i64 as BigInt,
    " AND expires_at > " alive_at: NaiveDateTime as Timestamp;
    ""
}

fn save(connection: &mut SqliteConnection, write: &SaveSession) -> QueryResult<SaveOutcome> {
    let written = Save {
        data: write.data.clone(),
        now: write.now.naive_utc(),
        session_id: write.session_id.to_string(),
        id: write.id.clone(),
        version: write.version,
        alive_at: write.now.naive_utc(),
    }
    .execute(connection)?;
    Ok(if written == 1 {
        SaveOutcome::Saved
    } else {
        SaveOutcome::Refused
    })
}

statement! {
    /// Touches one session. Stored times are texts of a uniform format, so they compare like times.
    Touch on Sqlite, SqliteConnection;
    "UPDATE sessions SET last_seen_at = max(last_seen_at, " now: NaiveDateTime as Timestamp,
    "), expires_at = max(expires_at, min(absolute_expires_at, "
        expires_at: NaiveDateTime as Timestamp,
    ")), user_agent = coalesce(" user_agent: Option<String> as Nullable<Text>,
    ", user_agent), ip = coalesce(" ip: Option<String> as Nullable<Text>,
    ", ip) WHERE session_id = " session_id: String as Text,
    " AND id = coalesce(" id: Option<SessionHandle> as Nullable<Text>,
    ", id) AND expires_at > " alive_at: NaiveDateTime as Timestamp;
    ""
}

fn touch(connection: &mut SqliteConnection, touch: &TouchSession) -> QueryResult<usize> {
    Touch {
        now: touch.now.naive_utc(),
        expires_at: touch.expires_at.naive_utc(),
        user_agent: touch.user_agent.clone(),
        ip: touch.ip.clone(),
        session_id: touch.session_id.to_string(),
        id: touch.id.clone(),
        alive_at: touch.now.naive_utc(),
    }
    .execute(connection)
}

statement! {
    /// Gives one session a new token.
    Rotate on Sqlite, SqliteConnection;
    "UPDATE sessions SET session_id = " new_session_id: String as Text,
    ", token_hash = " token_hash: Vec<u8> as Binary,
    ", updated_at = " now: NaiveDateTime as Timestamp,
    " WHERE session_id = " session_id: String as Text,
    " AND id = coalesce(" id: Option<SessionHandle> as Nullable<Text>,
    ", id) AND expires_at > " alive_at: NaiveDateTime as Timestamp;
    ""
}

/// Rotates sessions and returns the outcome of each.
pub(in crate::store) fn try_rotate(
    connection: &mut SqliteConnection,
    rotations: &[KeyedRotation<'_>],
    _: HeldRows<'_>,
) -> QueryResult<Vec<RotateOutcome>> {
    connection.immediate_transaction(|connection| {
        let rotate = |KeyedRotation { id, rotation }: &KeyedRotation<'_>| {
            let rotated = Rotate {
                new_session_id: rotation.new_session_id.to_string(),
                token_hash: rotation.new_token_hash.as_bytes().to_vec(),
                now: rotation.now.naive_utc(),
                session_id: rotation.session_id.to_string(),
                id: id.cloned(),
                alive_at: rotation.now.naive_utc(),
            }
            .execute(connection)?;
            Ok(RotateOutcome::of(rotated == 1))
        };
        rotations.iter().map(rotate).collect()
    })
}

statement! {
    /// One batch of a sweep.
    Sweep on Sqlite, SqliteConnection, returns Text;
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= "
        now: NaiveDateTime as Timestamp,
    " ORDER BY expires_at LIMIT " limit: i64 as BigInt;
    ") RETURNING id"
}

pub(in crate::store) fn sweep(
    connection: &mut SqliteConnection,
    batch: &SweepBatch,
    _: &Contention,
) -> QueryResult<SweepOutcome> {
    let handles: Vec<SessionHandle> = Sweep {
        now: batch.now.naive_utc(),
        limit: batch.limit.into(),
    }
    .load(connection)?;
    let deleted = handles.len();
    Ok(SweepOutcome {
        deleted,
        handles: if batch.handles { handles } else { Vec::new() },
        ..SweepOutcome::default()
    })
}

pub(in crate::store) fn find_live(
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
    handles: &[SessionHandle],
) -> QueryResult<Vec<SessionHandle>> {
    let handles = handles.iter().filter(|handle| handle.is_possible());
    diesel::delete(sessions::table.filter(sessions::id.eq_any(handles)))
        .returning(sessions::id)
        .get_results(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i5_a_commit_waits_for_the_disk_by_default() {
        let setup = session_setup(&StoreOptions::default());
        assert!(setup.contains("synchronous = FULL"), "{setup}");
        let faster = StoreOptions {
            sqlite_synchronous: SqliteSynchronous::Normal,
            ..StoreOptions::default()
        };
        assert!(session_setup(&faster).contains("synchronous = NORMAL"));
    }
}
