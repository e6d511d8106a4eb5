//! One step of looking through the sessions, which an index serves.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::store::scan::forms;
use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::error::SqlError;
use crate::store::sql::row::{self, LeanRow};
use crate::store::sql::schema::sessions;
use crate::store::{ScanSessions, SessionOrder, SessionPlace, SessionRecord, SessionScope};

/// The rows of one index range.
enum Range<'a> {
    All,
    User(&'a str),
    Address(String),
    Handles(&'a str),
}

/// Reads the rows of a step, and one more if there is one.
pub(in crate::store::sql) fn rows(
    connection: &mut AnyConnection<'_>,
    scan: &ScanSessions,
) -> Result<Vec<SessionRecord>, SqlError> {
    match &scan.scope {
        SessionScope::All => read(connection, &Range::All, scan),
        SessionScope::User(user_id) => read(connection, &Range::User(user_id.as_str()), scan),
        SessionScope::HandlePrefix(prefix) => read(connection, &Range::Handles(prefix), scan),
        // One range each, because an index yields the order only within one.
        SessionScope::Address(ip) => {
            let mut rows = Vec::new();
            for form in forms(*ip) {
                rows.extend(read(connection, &Range::Address(form), scan)?);
            }
            rows.sort_by_key(|row| std::cmp::Reverse(row.session_id));
            if scan.is_backwards {
                rows.reverse();
            }
            rows.truncate(scan.limit as usize + 1);
            Ok(rows)
        }
    }
}

fn read(
    connection: &mut AnyConnection<'_>,
    range: &Range<'_>,
    scan: &ScanSessions,
) -> Result<Vec<SessionRecord>, SqlError> {
    let limit = i64::from(scan.limit) + 1;
    let now = scan.now.naive_utc();
    // A boxed query is one database's.
    let rows: Vec<LeanRow> = run_on!(connection, |connection| {
        let mut rows = sessions::table
            .select(LeanRow::as_select())
            .limit(limit)
            .into_boxed();
        rows = match range {
            Range::All => rows,
            Range::User(user_id) => rows.filter(sessions::user_id.eq(*user_id)),
            Range::Address(ip) => rows.filter(sessions::ip.eq(ip)),
            // No handle has a character after `z`.
            Range::Handles(prefix) => rows
                .filter(sessions::id.ge(*prefix))
                .filter(sessions::id.le(format!("{prefix}zzzzzzzzzzzzzzzzzzzzzzzz")))
                .order(sessions::id.asc()),
        };
        rows = match (range, scan.order, scan.is_backwards) {
            (Range::Handles(_), ..) => rows,
            (Range::All | Range::User(_), SessionOrder::ExpiringFirst, false) => {
                let rows = rows.order((sessions::expires_at.asc(), sessions::session_id.asc()));
                match scan.after {
                    Some(place) if place.expires_at > scan.now => {
                        let (at, id) = parts(place);
                        let is_after = sessions::expires_at.gt(at);
                        let is_after = is_after.or(sessions::session_id.gt(id));
                        rows.filter(sessions::expires_at.ge(at)).filter(is_after)
                    }
                    _ => rows.filter(sessions::expires_at.gt(now)),
                }
            }
            (Range::All | Range::User(_), SessionOrder::ExpiringFirst, true) => {
                let rows = rows.order((sessions::expires_at.desc(), sessions::session_id.desc()));
                let rows = rows.filter(sessions::expires_at.gt(now));
                match scan.after.map(parts) {
                    Some((at, id)) => {
                        let is_before = sessions::expires_at.lt(at);
                        let is_before = is_before.or(sessions::session_id.lt(id));
                        rows.filter(sessions::expires_at.le(at)).filter(is_before)
                    }
                    None => rows,
                }
            }
            (.., is_backwards) => {
                let id = scan.after.map(|place| parts(place).1);
                match (is_backwards, id) {
                    (false, Some(id)) => rows
                        .filter(sessions::session_id.lt(id))
                        .order(sessions::session_id.desc()),
                    (false, None) => rows.order(sessions::session_id.desc()),
                    (true, Some(id)) => rows
                        .filter(sessions::session_id.gt(id))
                        .order(sessions::session_id.asc()),
                    (true, None) => rows.order(sessions::session_id.asc()),
                }
            }
        };
        rows.load(connection)?
    });
    Ok(row::readable(rows.into_iter().map(Into::into).collect()))
}

fn parts(place: SessionPlace) -> (NaiveDateTime, String) {
    (place.expires_at.naive_utc(), place.session_id.to_string())
}
