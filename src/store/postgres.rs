//! What is specific to PostgreSQL: connection settings and its hot statements.
//!
//! A batch is one statement over arrays, so that its text does not depend on its size and is
//! prepared once. Rows are sent in the order of their ids, so that two batches over the same
//! sessions lock them in the same order.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamp};
use uuid::Uuid;

use super::row::SessionRow;
use super::schema::sessions;
use super::statement::statement;
use super::{SaveOutcome, SaveSession, TouchSession};

/// What each connection is told first.
pub(super) fn session_setup(timeout: Duration) -> String {
    format!(
        "SET application_name = 'rocket_diesel_sessions'; SET statement_timeout = {};",
        timeout.as_millis()
    )
}

/// Adds libpq's `connect_timeout` (whole seconds, at least 2) unless the URL has one.
pub(super) fn with_connect_timeout(url: &str, timeout: Duration) -> String {
    if url.contains("connect_timeout=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let seconds = timeout.as_secs().max(2);
    format!("{url}{separator}connect_timeout={seconds}")
}

pub(super) fn load(
    connection: &mut PgConnection,
    session_ids: &[Uuid],
) -> QueryResult<Vec<SessionRow>> {
    let ids: Vec<String> = session_ids.iter().map(Uuid::to_string).collect();
    sessions::table
        .filter(sessions::session_id.eq_any(ids))
        .select(SessionRow::as_select())
        .load(connection)
}

statement! {
    /// Compare-and-swap of many sessions' data; yields the lookup ids of those written.
    Save on Pg, PgConnection, returns Text;
    "UPDATE sessions AS s SET version = s.version + 1, data = w.data, updated_at = w.now \
     FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " versions: Vec<i64> as Array<BigInt>,
    "::int8[], " data: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>;
    "::timestamp[]) AS w (session_id, version, data, now) \
     WHERE s.session_id = w.session_id AND s.version = w.version AND s.expires_at > w.now \
     RETURNING s.session_id"
}

pub(super) fn save(
    connection: &mut PgConnection,
    writes: &[SaveSession],
) -> QueryResult<Vec<SaveOutcome>> {
    // A row that is joined twice is updated once, with either value: send the first alone.
    let mut seen = HashSet::new();
    let first: Vec<bool> = writes.iter().map(|w| seen.insert(w.session_id)).collect();
    let mut sent: Vec<&SaveSession> = writes
        .iter()
        .zip(&first)
        .filter_map(|(write, first)| first.then_some(write))
        .collect();
    sent.sort_unstable_by_key(|write| write.session_id);

    let written: HashSet<String> = Save {
        session_ids: sent.iter().map(|w| w.session_id.to_string()).collect(),
        versions: sent.iter().map(|w| w.version).collect(),
        data: sent.iter().map(|w| w.data.clone()).collect(),
        times: sent.iter().map(|w| w.now.naive_utc()).collect(),
    }
    .load(connection)?
    .into_iter()
    .collect();

    let outcome = |(write, first): (&SaveSession, bool)| {
        if first && written.contains(&write.session_id.to_string()) {
            SaveOutcome::Saved
        } else {
            SaveOutcome::Refused
        }
    };
    Ok(writes.iter().zip(first).map(outcome).collect())
}

statement! {
    /// Activity on many sessions.
    Touch on Pg, PgConnection;
    "UPDATE sessions AS s SET last_seen_at = greatest(s.last_seen_at, t.now), \
     expires_at = greatest(s.expires_at, least(s.absolute_expires_at, t.expires_at)), \
     user_agent = coalesce(t.user_agent, s.user_agent), ip = coalesce(t.ip, s.ip) \
     FROM unnest(" session_ids: Vec<String> as Array<Text>,
    "::text[], " times: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " expires_at: Vec<NaiveDateTime> as Array<Timestamp>,
    "::timestamp[], " user_agents: Vec<Option<String>> as Array<Nullable<Text>>,
    "::text[], " ips: Vec<Option<String>> as Array<Nullable<Text>>;
    "::text[]) AS t (session_id, now, expires_at, user_agent, ip) \
     WHERE s.session_id = t.session_id AND s.expires_at > t.now"
}

pub(super) fn touch(connection: &mut PgConnection, touches: &[TouchSession]) -> QueryResult<usize> {
    let mut touches: Vec<&TouchSession> = touches.iter().collect();
    touches.sort_unstable_by_key(|touch| touch.session_id);
    Touch {
        session_ids: touches.iter().map(|t| t.session_id.to_string()).collect(),
        times: touches.iter().map(|t| t.now.naive_utc()).collect(),
        expires_at: touches.iter().map(|t| t.expires_at.naive_utc()).collect(),
        user_agents: touches.iter().map(|t| t.user_agent.clone()).collect(),
        ips: touches.iter().map(|t| t.ip.clone()).collect(),
    }
    .execute(connection)
}

statement! {
    /// One batch of a sweep: rows that a request or another sweep holds are left to the next.
    Sweep on Pg, PgConnection;
    "WITH expired AS MATERIALIZED (SELECT id FROM sessions WHERE expires_at <= "
        now: NaiveDateTime as Timestamp,
    " ORDER BY expires_at LIMIT " limit: i64 as BigInt;
    " FOR UPDATE SKIP LOCKED) \
     DELETE FROM sessions AS s USING expired WHERE s.id = expired.id"
}

pub(super) fn sweep(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> QueryResult<usize> {
    Sweep {
        now: now.naive_utc(),
        limit: limit.into(),
    }
    .execute(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_timeout_is_added_once() {
        let two = Duration::from_millis(200);
        assert_eq!(
            with_connect_timeout("postgres://h/d", two),
            "postgres://h/d?connect_timeout=2"
        );
        assert_eq!(
            with_connect_timeout("postgres://h/d?sslmode=require", two),
            "postgres://h/d?sslmode=require&connect_timeout=2"
        );
        let own = "postgres://h/d?connect_timeout=9";
        assert_eq!(with_connect_timeout(own, two), own);
    }
}
