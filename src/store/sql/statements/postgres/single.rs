//! Statements for a batch of one, the usual case with few visitors.
//!
//! Each is one lookup in a unique index, without the array and the join of a batch.

use chrono::NaiveDateTime;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamp};
use uuid::Uuid;

use crate::store::sql::row::SessionRow;
use crate::store::sql::schema::sessions;
use crate::store::sql::statements::statement::statement;
use crate::store::{SaveOutcome, SaveSession, SessionHandle};

pub(in crate::store::sql) fn load(
    connection: &mut PgConnection,
    session_id: Uuid,
) -> QueryResult<Vec<SessionRow>> {
    sessions::table
        .filter(sessions::session_id.eq(session_id.to_string()))
        .select(SessionRow::as_select())
        .load(connection)
}

statement! {
    /// Compare-and-swap of one session's data.
    Save on Pg, PgConnection;
    "UPDATE sessions SET version = version + 1, data = " data: String as Text,
    ", updated_at = " now: NaiveDateTime as Timestamp,
    " WHERE session_id = " session_id: String as Text,
    " AND id = " id: SessionHandle as Text,
    " AND version = " version: i64 as BigInt,
    " AND expires_at > " alive_at: NaiveDateTime as Timestamp;
    ""
}

pub(in crate::store::sql) fn save(
    connection: &mut PgConnection,
    id: &SessionHandle,
    write: &SaveSession,
) -> QueryResult<Vec<SaveOutcome>> {
    let now = write.now.naive_utc();
    let written = Save {
        data: write.data.clone(),
        now,
        session_id: write.session_id.to_string(),
        id: id.clone(),
        version: write.version,
        alive_at: now,
    }
    .execute(connection)?;
    Ok(vec![if written == 1 {
        SaveOutcome::Saved
    } else {
        SaveOutcome::Refused
    }])
}
