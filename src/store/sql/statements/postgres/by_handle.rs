//! Statements that name sessions by their handles.

use chrono::NaiveDateTime;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Timestamp};

use crate::store::SessionHandle;
use crate::store::sql::statements::statement::statement;

statement! {
    /// Yields the handles of the live ones among many sessions.
    FindLive on Pg, PgConnection, returns Text;
    "SELECT s.id FROM unnest(" ids: Vec<SessionHandle> as Array<Text>,
    "::text[]) AS w (id) JOIN sessions AS s ON s.id = w.id \
     WHERE w.id = w.id || '' AND s.expires_at > " now: NaiveDateTime as Timestamp;
    ""
}

pub(in crate::store) fn find_live(
    connection: &mut PgConnection,
    ids: &[SessionHandle],
    now: NaiveDateTime,
) -> QueryResult<Vec<SessionHandle>> {
    let ids = distinct(ids.iter());
    FindLive { ids, now }.load(connection)
}

statement! {
    /// Deletes sessions and yields their handles.
    Delete on Pg, PgConnection, returns Text;
    "DELETE FROM sessions AS s USING unnest(" ids: Vec<SessionHandle> as Array<Text>;
    "::text[]) AS w (id) WHERE w.id = w.id || '' AND s.id = w.id RETURNING s.id"
}

pub(in crate::store) fn delete(
    connection: &mut PgConnection,
    handles: &[SessionHandle],
) -> QueryResult<Vec<SessionHandle>> {
    let ids = distinct(handles.iter().filter(|handle| handle.is_possible()));
    Delete { ids }.load(connection)
}

/// Returns each handle once, in an order in which two batches lock their rows alike.
fn distinct<'h>(handles: impl Iterator<Item = &'h SessionHandle>) -> Vec<SessionHandle> {
    let mut handles: Vec<SessionHandle> = handles.cloned().collect();
    handles.sort_unstable();
    handles.dedup();
    handles
}
