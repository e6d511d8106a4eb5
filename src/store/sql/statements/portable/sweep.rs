//! Deletes expired sessions in batches, on any engine.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::locked;
use crate::store::sql::engine::PORTABLE_BATCH;
use crate::store::sql::row::StoredTime;
use crate::store::sql::run::contention::Contention;
use crate::store::sql::schema::sessions;
use crate::store::{SessionHandle, SweepBatch, SweepOutcome};

/// Maximum number of times that a batch of a sweep looks further because it could delete nothing.
const LOOK_FURTHER: usize = 10;

/// Sweeps one batch: reads which sessions have expired, and deletes those of them that still have.
/// Rows that another transaction has locked are left to the next pass.
pub(in crate::store) fn sweep(
    connection: &mut PgConnection,
    batch: &SweepBatch,
    contention: &Contention,
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
        let mut ids: Vec<SessionHandle> = expired.iter().map(|(id, _)| id.clone()).collect();
        let outcomes = locked::around(connection, &mut ids, contention, |connection, ids| {
            delete_expired(connection, ids, now)
        })?;
        contended |= !outcomes.left.is_empty();
        let handles: Vec<SessionHandle> = outcomes.done.into_iter().flatten().collect();
        if !handles.is_empty() {
            let reached = last.filter(|_| !outcomes.is_cut_short);
            return Ok(SweepOutcome {
                deleted: handles.len(),
                handles: if batch.handles { handles } else { Vec::new() },
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

/// Deletes those of these sessions that have expired by `now`.
fn delete_expired(
    connection: &mut PgConnection,
    ids: &[SessionHandle],
    now: NaiveDateTime,
) -> QueryResult<Vec<SessionHandle>> {
    diesel::delete(sessions::table.filter(sessions::id.eq_any(ids)))
        .filter(sessions::expires_at.le(now))
        .returning(sessions::id)
        .get_results(connection)
}
