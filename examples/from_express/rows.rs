//! The rows of connect-pg-simple, and what was moved of them.
//!
//! For `@quixo3/prisma-session-store`, `find` and `claim` read the table `"Session"` instead, with
//! `data` for `sess::text` and `"expiresAt"` for `expire`, which is in UTC, and `put_back` also
//! writes its column `id`.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use rocket_diesel_sessions::store::SessionHandle;

/// A session to move. It may have been moved before, to a session that did not reach its visitor.
#[derive(Clone)]
pub(crate) struct Old {
    pub(crate) sid: String,
    pub(crate) sess: String,
    pub(crate) seconds_left: u64,
    /// The handle and the data of a session of this application, whose response seems to be lost.
    pub(crate) undelivered: Option<(String, String)>,
}

/// What became of a session of Express.
pub(crate) enum Found {
    Movable(Old),
    /// Another request has just moved it, and its response may still be on the way.
    Moving,
    /// It has expired or ended, before or after it was moved.
    Gone,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    sess: String,
    #[diesel(sql_type = BigInt)]
    seconds_left: i64,
    #[diesel(sql_type = Nullable<Text>)]
    id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    data: Option<String>,
}

/// Looks for a session. A single statement, so that it sees a move either done or undone.
///
/// For a minute after a move, the old cookie leads to the new session, because its response may be
/// lost: a visitor who clicks twice discards the first one. A response has five seconds to arrive.
pub(crate) fn find(connection: &mut PgConnection, sid: &str) -> QueryResult<Found> {
    let row: Option<Row> = sql_query(
        "SELECT 'movable' AS state, sess::text AS sess, NULL AS id, NULL AS data,
                floor(extract(epoch FROM expire - now()))::bigint AS seconds_left
         FROM session
         WHERE sid = $1 AND expire > now() AND NOT EXISTS (SELECT FROM express_moves WHERE sid = $1)
         UNION ALL
         SELECT CASE WHEN issued_at > now() - interval '5 seconds' THEN 'moving'
                     WHEN sessions.id IS NULL THEN 'ended' ELSE 'movable' END,
                sess::text, sessions.id, sessions.data,
                floor(extract(epoch FROM expire - now()))::bigint
         FROM express_moves LEFT JOIN sessions ON sessions.id = express_moves.session_id
         WHERE sid = $1 AND expire > now() AND moved_at > now() - interval '1 minute'",
    )
    .bind::<Text, _>(sid)
    .get_result(connection)
    .optional()?;
    let state = row.as_ref().map(|row| row.state.as_str());
    if state == Some("moving") {
        return Ok(Found::Moving);
    }
    let row = row.filter(|row| row.state == "movable");
    Ok(row.map_or(Found::Gone, |row| {
        Found::Movable(Old {
            sid: sid.to_owned(),
            sess: row.sess,
            seconds_left: row.seconds_left.unsigned_abs(),
            undelivered: row.id.zip(row.data),
        })
    }))
}

/// Puts a new session in the place of the old one, within a transaction. Of several requests with
/// the same cookie, one deletes the old row. The others get `RollbackTransaction`, and so does a
/// request whose new session was withdrawn, or that has read what Express has changed since.
pub(crate) fn claim(
    connection: &mut PgConnection,
    old: &Old,
    new: &SessionHandle,
) -> QueryResult<()> {
    let (statement, seen) = match &old.undelivered {
        None => (
            "WITH new AS (SELECT id FROM sessions WHERE id = $3 FOR UPDATE),
             old AS (DELETE FROM session USING new
                     WHERE sid = $1 AND expire > now() AND sess::text = $2
                     RETURNING sid, sess, expire)
             INSERT INTO express_moves (sid, sess, expire, session_id)
             SELECT old.sid, old.sess, old.expire, new.id FROM old, new
             ON CONFLICT (sid) DO NOTHING",
            &old.sess,
        ),
        Some((id, _)) => (
            "WITH new AS (SELECT id FROM sessions WHERE id = $3 FOR UPDATE),
             old AS (DELETE FROM sessions WHERE id = $2 RETURNING id)
             UPDATE express_moves SET session_id = new.id, issued_at = now() FROM old, new
             WHERE sid = $1 AND session_id = old.id",
            id,
        ),
    };
    let claimed = sql_query(statement)
        .bind::<Text, _>(&old.sid)
        .bind::<Text, _>(seen)
        .bind::<Text, _>(new.as_str())
        .execute(connection)?;
    if claimed == 0 {
        return Err(diesel::result::Error::RollbackTransaction);
    }
    Ok(())
}

/// Undoes the move to a session whose cookie reached no one.
pub(crate) fn put_back(connection: &mut PgConnection, new: &SessionHandle) -> QueryResult<usize> {
    sql_query(
        "WITH undone AS (DELETE FROM express_moves WHERE session_id = $1 RETURNING sid, sess, expire)
         INSERT INTO session (sid, sess, expire) SELECT sid, sess, expire FROM undone
         ON CONFLICT (sid) DO NOTHING",
    )
    .bind::<Text, _>(new.as_str())
    .execute(connection)
}
