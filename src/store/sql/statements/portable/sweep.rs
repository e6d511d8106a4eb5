//! Deletes expired sessions in batches, on any engine.

use std::collections::VecDeque;

use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::store::sql::engine::PORTABLE_BATCH;
use crate::store::sql::error::is_lock_timeout;
use crate::store::sql::row::StoredTime;
use crate::store::sql::schema::sessions;
use crate::store::sql::statements::postgres::SHORT_WAIT;
use crate::store::{SessionHandle, SweepBatch, SweepOutcome};

/// Maximum number of times that a batch of a sweep looks further because it could delete nothing.
const LOOK_FURTHER: usize = 10;

/// Maximum number of times that a batch of a sweep waits for a lock.
const WAITS: usize = 32;

/// Sweeps one batch: reads which sessions have expired, and deletes those of them that still have.
/// Rows that another transaction has locked are left to the next pass.
pub(in crate::store) fn sweep(
    connection: &mut PgConnection,
    batch: &SweepBatch,
) -> QueryResult<SweepOutcome> {
    let now = batch.now.naive_utc();
    let mut from = batch.from.map(|from| from.naive_utc());
    let (mut left, mut contended) = (0, false);
    for _ in 0..LOOK_FURTHER {
        let expired = expired(connection, batch, from, left)?;
        let Some((_, StoredTime(last))) = expired.last() else {
            break;
        };
        let last = *last;
        let ids = expired.iter().map(|(id, _)| id.clone()).collect();
        let deleted = delete_expired(connection, ids, now)?;
        contended |= deleted.is_locked;
        if !deleted.handles.is_empty() {
            let reached = last.filter(|_| !deleted.is_cut_short);
            return Ok(SweepOutcome {
                deleted: deleted.handles.len(),
                handles: if batch.handles {
                    deleted.handles
                } else {
                    Vec::new()
                },
                contended,
                reached: reached.map(|reached| reached.and_utc()),
            });
        }
        // All of them are locked, or were faster. Of those that expire last, others may follow.
        let stay = expired.iter().filter(|(_, StoredTime(at))| *at == last);
        left = if from == last { left } else { 0 } + stay.count();
        from = last;
    }
    Ok(SweepOutcome {
        contended,
        ..SweepOutcome::default()
    })
}

/// Returns the sessions of a batch, with their deadlines in order: those that have expired since
/// `from`, without the first `left`.
fn expired(
    connection: &mut PgConnection,
    batch: &SweepBatch,
    from: Option<NaiveDateTime>,
    left: usize,
) -> QueryResult<Vec<(SessionHandle, StoredTime)>> {
    let expired = sessions::table
        .filter(sessions::expires_at.le(batch.now.naive_utc()))
        .order(sessions::expires_at)
        .limit(batch.limit.min(PORTABLE_BATCH).into())
        .offset(i64::try_from(left).unwrap_or(i64::MAX))
        .select((sessions::id, sessions::expires_at));
    match from {
        // The index has entries of deleted rows before this moment.
        Some(from) => expired
            .filter(sessions::expires_at.ge(from))
            .load(connection),
        None => expired.load(connection),
    }
}

/// What became of the sessions of a batch.
struct Deleted {
    handles: Vec<SessionHandle>,
    /// Whether another transaction has locked any.
    is_locked: bool,
    /// Whether some were not tried, because others had taken too long.
    is_cut_short: bool,
}

/// Deletes those of these sessions that have expired by `now`. If one of them is locked, the halves
/// are tried, then their halves, and so on.
fn delete_expired(
    connection: &mut PgConnection,
    ids: Vec<SessionHandle>,
    now: NaiveDateTime,
) -> QueryResult<Deleted> {
    let mut handles = Vec::with_capacity(ids.len());
    let mut waits = 0;
    let mut parts = VecDeque::from([ids]);
    while waits < WAITS
        && let Some(mut part) = parts.pop_front()
    {
        let delete = diesel::delete(sessions::table.filter(sessions::id.eq_any(&part)))
            .filter(sessions::expires_at.le(now))
            .returning(sessions::id);
        let result: QueryResult<Vec<SessionHandle>> = connection.transaction(|connection| {
            connection.batch_execute(SHORT_WAIT)?;
            delete.get_results(connection)
        });
        match result {
            Ok(deleted) => handles.extend(deleted),
            Err(error) if is_lock_timeout(&error) => {
                waits += 1;
                if part.len() > 1 {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([part, second]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Deleted {
        handles,
        is_locked: waits > 0,
        is_cut_short: !parts.is_empty(),
    })
}
