//! Deletes expired sessions in batches, by the cheapest statement that is possible.
//!
//! A batch is a range of `expires_at` that is known to have no more rows than the batch may have.
//! If very many sessions expire in one moment, it is that many places in the table instead. Once a
//! batch has met a row that another transaction has locked, rows are locked before they are
//! deleted, and those of others are skipped.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use crate::store::sql::row::StoredTime;
use crate::store::sql::run::contention::Contention;
use crate::store::sql::statements::statement::statement;
use crate::store::{SessionHandle, SweepBatch, SweepOutcome};

statement! {
    /// Finds the moment before which the sessions of a batch expire. There is none if fewer
    /// sessions than `limit` are left.
    Bound on Pg, PgConnection, returns Timestamp;
    "SELECT expires_at FROM sessions WHERE expires_at >= coalesce("
        from: Option<NaiveDateTime> as Nullable<Timestamp>,
    ", '-infinity') AND expires_at <= " now: NaiveDateTime as Timestamp,
    " ORDER BY expires_at OFFSET " limit: i64 as BigInt;
    " LIMIT 1"
}

statement! {
    /// Sweeps the sessions that expire from one moment and before another. It is as fast as a plain
    /// DELETE, because rows are read once, in the order of their places. If it has to wait for a
    /// lock, it fails soon.
    Range on Pg, PgConnection;
    "DELETE FROM sessions WHERE expires_at >= coalesce("
        from: Option<NaiveDateTime> as Nullable<Timestamp>,
    ", '-infinity') AND expires_at < " end: NaiveDateTime as Timestamp;
    ""
}

statement! {
    /// Sweeps as `Range` does and yields the handles, which costs half as much again.
    RangeWithHandles on Pg, PgConnection, returns Text;
    "DELETE FROM sessions WHERE expires_at >= coalesce("
        from: Option<NaiveDateTime> as Nullable<Timestamp>,
    ", '-infinity') AND expires_at < " end: NaiveDateTime as Timestamp;
    " RETURNING id"
}

statement! {
    /// Sweeps one batch where more sessions than that expire in one moment. If it has to wait for a
    /// lock, it fails soon.
    Places on Pg, PgConnection, returns Text;
    "DELETE FROM sessions WHERE expires_at <= " now: NaiveDateTime as Timestamp,
    " AND ctid = ANY(ARRAY(SELECT ctid FROM sessions WHERE expires_at >= coalesce("
        from: Option<NaiveDateTime> as Nullable<Timestamp>,
    ", '-infinity') AND expires_at <= " expired_at: NaiveDateTime as Timestamp,
    " ORDER BY expires_at LIMIT " limit: i64 as BigInt;
    ")) RETURNING id"
}

statement! {
    /// Sweeps one batch. Rows that a request or another sweep has locked are left to the next
    /// pass. The array keeps a generic plan, which estimates the limit as a tenth of the table,
    /// from reading the whole table.
    Free on Pg, PgConnection, returns Text;
    "WITH expired AS MATERIALIZED (SELECT id FROM sessions WHERE expires_at >= coalesce("
        from: Option<NaiveDateTime> as Nullable<Timestamp>,
    ", '-infinity') AND expires_at <= " now: NaiveDateTime as Timestamp,
    " ORDER BY expires_at LIMIT " limit: i64 as BigInt;
    " FOR UPDATE SKIP LOCKED) \
     DELETE FROM sessions WHERE id = ANY(ARRAY(SELECT id FROM expired)) RETURNING id"
}

/// The lock timeout of the statements that hold many rows while they wait for one.
pub(in crate::store::sql) const SHORT_WAIT: &str = "SET LOCAL lock_timeout = 20";

/// Leaves a bitmap scan as the only plan of a range. It reads rows in the order of their places,
/// and never the whole table.
const BITMAP: &str = "; SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off";

pub(in crate::store) fn sweep(
    connection: &mut PgConnection,
    batch: &SweepBatch,
    _: &Contention,
) -> QueryResult<SweepOutcome> {
    let (now, limit) = (batch.now.naive_utc(), i64::from(batch.limit));
    let from = batch.from.map(|from| from.naive_utc());
    let mut contended = batch.contended;
    if !contended {
        let swept = range(connection, batch, from).and_then(|swept| {
            if swept.deleted > 0 {
                return Ok(swept);
            }
            places(connection, batch, from)
        });
        match swept {
            Ok(swept) if swept.deleted > 0 => return Ok(swept),
            // Nothing is left, or another sweep was faster.
            Ok(_) => {}
            // A row is locked, or another database engine has no ctid or no such setting.
            Err(error) if is_statements_fault(&error) => {}
            Err(error) => return Err(error),
        }
        contended = true;
    }
    let handles = Free { from, now, limit }.load(connection)?;
    Ok(SweepOutcome {
        contended,
        ..outcome(handles, batch)
    })
}

/// Sweeps a range of `expires_at`. Deletes nothing if too many sessions expire in its first moment,
/// or if its end cannot be known, because foreign SQL has written an infinite time.
fn range(
    connection: &mut PgConnection,
    batch: &SweepBatch,
    from: Option<NaiveDateTime>,
) -> QueryResult<SweepOutcome> {
    let (now, limit) = (batch.now.naive_utc(), i64::from(batch.limit));
    let bound: Option<StoredTime> = Bound { from, now, limit }
        .get_result(connection)
        .optional()?;
    let end = match bound {
        Some(StoredTime(None)) => return Ok(SweepOutcome::default()),
        Some(StoredTime(Some(end))) => end,
        // The database has microseconds, so this includes the sessions that expire now.
        None => now + TimeDelta::microseconds(1),
    };
    let settings = format!("{SHORT_WAIT}{BITMAP}");
    let swept = attempt(connection, &settings, |connection| {
        if batch.handles {
            let handles = RangeWithHandles { from, end }.load(connection)?;
            return Ok(outcome(handles, batch));
        }
        Ok(SweepOutcome {
            deleted: Range { from, end }.execute(connection)?,
            ..SweepOutcome::default()
        })
    })?;
    Ok(SweepOutcome {
        reached: Some(end.and_utc()),
        ..swept
    })
}

/// Sweeps as many sessions as the batch may have.
fn places(
    connection: &mut PgConnection,
    batch: &SweepBatch,
    from: Option<NaiveDateTime>,
) -> QueryResult<SweepOutcome> {
    let now = batch.now.naive_utc();
    let places = Places {
        now,
        from,
        expired_at: now,
        limit: batch.limit.into(),
    };
    attempt(connection, SHORT_WAIT, |connection| {
        Ok(outcome(places.load(connection)?, batch))
    })
}

/// Runs a statement under settings of its transaction. If it deletes nothing, the settings are
/// undone, because a job on an application's connection goes on in the same transaction.
fn attempt(
    connection: &mut PgConnection,
    settings: &str,
    run: impl FnOnce(&mut PgConnection) -> QueryResult<SweepOutcome>,
) -> QueryResult<SweepOutcome> {
    let swept = connection.transaction(|connection| {
        connection.batch_execute(settings)?;
        let swept = run(connection)?;
        if swept.deleted == 0 {
            return Err(Error::RollbackTransaction);
        }
        Ok(swept)
    });
    match swept {
        Err(Error::RollbackTransaction) => Ok(SweepOutcome::default()),
        swept => swept,
    }
}

fn outcome(handles: Vec<SessionHandle>, batch: &SweepBatch) -> SweepOutcome {
    SweepOutcome {
        deleted: handles.len(),
        handles: if batch.handles { handles } else { Vec::new() },
        ..SweepOutcome::default()
    }
}

/// Returns whether a different statement on the same connection may succeed.
fn is_statements_fault(error: &diesel::result::Error) -> bool {
    matches!(error, Error::DatabaseError(kind, _) if !matches!(kind,
        DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure))
}
