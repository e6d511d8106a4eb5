//! Variants of the hot statements that skip rows locked by another transaction.
//!
//! They cost more than the usual statements and are used after those have met a locked row. Each is
//! one statement, so it is atomic and sees one snapshot. A row that is in the snapshot and could
//! not be locked is reported as held. A row that was changed in between may be reported as held
//! too; trying again then finds the actual outcome.

use chrono::NaiveDateTime;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text, Timestamp};

use crate::store::sql::statements::batch::{Changed, first_of_each_session, outcomes};
use crate::store::sql::statements::keyed::KeyedRotation;
use crate::store::sql::statements::statement::statement;
use crate::store::{DeleteOutcome, RotateOutcome, SaveOutcome, SaveSession, SessionHandle};

statement! {
    /// Compare-and-swap of many sessions' data. Yields the lookup halves of the sessions written
    /// with true, and of those held with false.
    Save on Pg, PgConnection, returns (Text, Bool);
    "WITH w AS (SELECT * FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " ids: Vec<Option<SessionHandle>> as Array<Nullable<Text>>,
    "::text[], " versions: Vec<i64> as Array<BigInt>,
    "::int8[], " data: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>;
    "::timestamp[]) AS w (session_id, id, version, data, now) \
     WHERE w.session_id = w.session_id || ''), \
     free AS MATERIALIZED (SELECT s.id, s.session_id FROM w \
     JOIN sessions AS s ON s.session_id = w.session_id AND s.id = coalesce(w.id, s.id) \
     FOR NO KEY UPDATE OF s SKIP LOCKED), \
     saved AS (UPDATE sessions AS s SET version = s.version + 1, data = w.data, updated_at = w.now \
     FROM free JOIN w ON w.session_id = free.session_id \
     WHERE s.id = free.id AND s.version = w.version AND s.expires_at > w.now \
     RETURNING w.session_id) \
     SELECT session_id, true FROM saved UNION ALL \
     SELECT s.session_id, false FROM sessions AS s JOIN w ON s.session_id = w.session_id \
     AND s.id = coalesce(w.id, s.id) WHERE s.version = w.version AND s.expires_at > w.now \
     AND NOT EXISTS (SELECT FROM free WHERE free.session_id = s.session_id)"
}

/// Runs the saves whose rows are not locked.
pub(super) fn save(
    connection: &mut PgConnection,
    saves: &[SaveSession],
) -> QueryResult<Vec<SaveOutcome>> {
    let (sent, is_first) = first_of_each_session(saves);
    let changed: Changed = Save {
        session_ids: sent.iter().map(|w| w.session_id.to_string()).collect(),
        ids: sent.iter().map(|w| w.id.clone()).collect(),
        versions: sent.iter().map(|w| w.version).collect(),
        data: sent.iter().map(|w| w.data.clone()).collect(),
        times: sent.iter().map(|w| w.now.naive_utc()).collect(),
    }
    .load(connection)?
    .into_iter()
    .collect();
    Ok(outcomes(saves, &is_first, &changed, SaveOutcome::OF_ROWS))
}

statement! {
    /// Gives many sessions new tokens. Yields the old lookup halves of the sessions rotated with
    /// true, and of those held with false.
    Rotate on Pg, PgConnection, returns (Text, Bool);
    "WITH r AS (SELECT * FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " ids: Vec<Option<SessionHandle>> as Array<Nullable<Text>>,
    "::text[], " new_session_ids: Vec<String> as Array<Text>,
    "::text[], " token_hashes: Vec<Vec<u8>> as Array<Binary>,
    "::bytea[], " times: Vec<NaiveDateTime> as Array<Timestamp>;
    "::timestamp[]) AS r (session_id, id, new_session_id, token_hash, now) \
     WHERE r.session_id = r.session_id || ''), \
     free AS MATERIALIZED (SELECT s.id, s.session_id FROM r \
     JOIN sessions AS s ON s.session_id = r.session_id AND s.id = coalesce(r.id, s.id) \
     FOR UPDATE OF s SKIP LOCKED), \
     rotated AS (UPDATE sessions AS s SET session_id = r.new_session_id, \
     token_hash = r.token_hash, updated_at = r.now \
     FROM free JOIN r ON r.session_id = free.session_id \
     WHERE s.id = free.id AND s.expires_at > r.now RETURNING r.session_id) \
     SELECT session_id, true FROM rotated UNION ALL \
     SELECT s.session_id, false FROM sessions AS s JOIN r ON s.session_id = r.session_id \
     AND s.id = coalesce(r.id, s.id) WHERE s.expires_at > r.now \
     AND NOT EXISTS (SELECT FROM free WHERE free.session_id = s.session_id)"
}

/// Rotates the sessions whose rows are not locked.
pub(super) fn rotate(
    connection: &mut PgConnection,
    rotations: &[KeyedRotation<'_>],
) -> QueryResult<Vec<RotateOutcome>> {
    let (sent, is_first) = first_of_each_session(rotations);
    let of = |it: &&KeyedRotation<'_>| it.rotation.session_id.to_string();
    let changed: Changed = Rotate {
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
    .load(connection)?
    .into_iter()
    .collect();
    Ok(outcomes(
        rotations,
        &is_first,
        &changed,
        RotateOutcome::OF_ROWS,
    ))
}

statement! {
    /// Deletes sessions by handle. Yields the handles of the sessions deleted with true, and of
    /// those held with false.
    Delete on Pg, PgConnection, returns (Text, Bool);
    "WITH w AS (SELECT DISTINCT w.id FROM unnest(" ids: Vec<SessionHandle> as Array<Text>;
    "::text[]) AS w (id) WHERE w.id = w.id || ''), \
     free AS MATERIALIZED (SELECT s.id FROM w JOIN sessions AS s ON s.id = w.id \
     FOR UPDATE OF s SKIP LOCKED), \
     deleted AS (DELETE FROM sessions AS s USING free WHERE s.id = free.id RETURNING s.id) \
     SELECT id, true FROM deleted UNION ALL \
     SELECT s.id, false FROM sessions AS s JOIN w ON s.id = w.id \
     WHERE NOT EXISTS (SELECT FROM free WHERE free.id = s.id)"
}

/// Deletes the sessions whose rows are not locked.
pub(in crate::store) fn delete(
    connection: &mut PgConnection,
    handles: &[SessionHandle],
) -> QueryResult<DeleteOutcome> {
    let handles = handles.iter().filter(|handle| handle.is_possible());
    let rows: Vec<(SessionHandle, bool)> = Delete {
        ids: handles.cloned().collect(),
    }
    .load(connection)?;
    let (ended, held): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, deleted)| *deleted);
    let handles = |rows: Vec<(SessionHandle, bool)>| rows.into_iter().map(|(id, _)| id).collect();
    Ok(DeleteOutcome {
        ended: handles(ended),
        held: handles(held),
    })
}
