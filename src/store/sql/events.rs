//! [`EventStore`] on the pool.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::connect::connection::{AnyConnection, run_on};
use super::row::{StoredText, StoredTime};
use super::schema::{session_events, users};
use crate::store::events::first_id;
use crate::store::{
    DieselStore, EventRecord, EventStore, ListEvents, StoreError, UserId, UserSource,
};

/// Maximum number of rows per insert.
const CHUNK: usize = 1000;

/// Maximum length of a stored text, in characters.
const MAX_TEXT: usize = 512;

#[derive(Insertable)]
#[diesel(table_name = session_events)]
// Without this, a batch insert on SQLite would run one statement per row.
#[diesel(treat_none_as_default_value = false)]
struct NewRow {
    id: String,
    at: NaiveDateTime,
    event: String,
    reason: Option<String>,
    session: String,
    kind: String,
    user_id: Option<String>,
    actor: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    actor_name: Option<String>,
}

/// Returns a text that both databases can store.
fn stored(text: &str) -> String {
    text.chars()
        .filter(|character| *character != '\0')
        .take(MAX_TEXT)
        .collect()
}

impl From<&EventRecord> for NewRow {
    fn from(event: &EventRecord) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(stored);
        Self {
            id: event.id.to_string(),
            at: event.at.naive_utc(),
            event: stored(&event.event),
            reason: text(&event.reason),
            session: stored(event.session.as_str()),
            kind: stored(&event.kind),
            user_id: event.user_id.as_ref().map(|id| id.as_str().to_owned()),
            actor: text(&event.actor),
            ip: text(&event.ip),
            user_agent: text(&event.user_agent),
            request_id: text(&event.request_id),
            actor_name: text(&event.actor_name),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = session_events)]
struct EventRow {
    id: StoredText,
    at: StoredTime,
    event: StoredText,
    reason: Option<StoredText>,
    session: StoredText,
    kind: StoredText,
    user_id: Option<StoredText>,
    actor: Option<StoredText>,
    ip: Option<StoredText>,
    user_agent: Option<StoredText>,
    request_id: Option<StoredText>,
    actor_name: Option<StoredText>,
}

impl EventRow {
    /// Returns the event, or `None` if its id or time cannot be read.
    fn readable(self) -> Option<EventRecord> {
        let text = |text: Option<StoredText>| text.map(|text| text.shown());
        Some(EventRecord {
            id: Uuid::try_parse(&self.id.0?).ok()?,
            at: self.at.0?.and_utc(),
            event: self.event.shown(),
            reason: text(self.reason),
            session: self.session.shown().into(),
            kind: self.kind.shown(),
            user_id: text(self.user_id).map(UserId::from),
            actor: text(self.actor),
            ip: text(self.ip),
            user_agent: text(self.user_agent),
            request_id: text(self.request_id),
            actor_name: text(self.actor_name),
        })
    }
}

/// Returns those of the users of these events who exist, and keeps them from being deleted until the
/// transaction ends. Their deletion then deletes these events too.
fn users_of(connection: &mut AnyConnection<'_>, rows: &[NewRow]) -> QueryResult<HashSet<String>> {
    let ids: HashSet<&str> = rows
        .iter()
        .filter_map(|row| row.user_id.as_deref())
        .collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let users = users::table.filter(users::id.eq_any(ids)).select(users::id);
    let found: Vec<String> = match connection {
        // The transaction has the write lock.
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => users.load(*connection)?,
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => users.for_key_share().load(*connection)?,
    };
    Ok(found.into_iter().collect())
}

/// Adds events in the caller's transaction.
pub(super) fn insert(
    connection: &mut AnyConnection<'_>,
    events: &[EventRecord],
    source: UserSource,
) -> QueryResult<()> {
    let is_possible = |event: &&EventRecord| event.user_id.as_ref().is_none_or(UserId::is_possible);
    let mut rows: Vec<NewRow> = events
        .iter()
        .filter(is_possible)
        .map(NewRow::from)
        .collect();
    if source == UserSource::Own {
        let users = users_of(connection, &rows)?;
        rows.retain(|row| row.user_id.as_ref().is_none_or(|id| users.contains(id)));
    }
    run_on!(connection, |connection| {
        diesel::insert_into(session_events::table)
            .values(rows)
            .on_conflict_do_nothing()
            .execute(connection)?
    });
    Ok(())
}

diesel::alias!(session_events as old: OldEvents);

impl EventStore for DieselStore {
    fn add_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        let source = self.options.users;
        for events in events.chunks(CHUNK) {
            self.change(|connection| match connection {
                #[cfg(feature = "sqlite")]
                AnyConnection::Sqlite(connection) => {
                    connection.immediate_transaction(|connection| {
                        Ok(insert(
                            &mut AnyConnection::Sqlite(connection),
                            events,
                            source,
                        )?)
                    })
                }
                #[cfg(feature = "postgres")]
                AnyConnection::Postgres(_) => {
                    connection.transaction(|connection| Ok(insert(connection, events, source)?))
                }
            })?;
        }
        Ok(())
    }

    fn events(&self, query: &ListEvents) -> Result<Vec<EventRecord>, StoreError> {
        let of_user = query.user_id.as_ref();
        let texts = [&query.kind, &query.event, &query.actor];
        let has_nul =
            |text: &&Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if of_user.is_some_and(|user_id| !user_id.is_possible()) || texts.iter().any(has_nul) {
            return Ok(Vec::new());
        }
        // A boxed query is one database's.
        let rows: Vec<EventRow> = self.read(|connection| {
            Ok(run_on!(connection, |connection| {
                let mut page = session_events::table
                    .order(session_events::id.desc())
                    .limit(query.limit.into())
                    .select(EventRow::as_select())
                    .into_boxed();
                if let Some(user_id) = &query.user_id {
                    page = page.filter(session_events::user_id.eq(user_id));
                }
                if let Some(kind) = &query.kind {
                    page = page.filter(session_events::kind.eq(kind));
                }
                if let Some(event) = &query.event {
                    page = page.filter(session_events::event.eq(event));
                }
                if let Some(actor) = &query.actor {
                    page = page.filter(session_events::actor.eq(actor));
                }
                if let Some(after) = query.after {
                    page = page.filter(session_events::id.lt(after.to_string()));
                }
                page.load(connection)?
            }))
        })?;
        Ok(rows.into_iter().filter_map(EventRow::readable).collect())
    }

    fn last_logins(&self, users: &[UserId]) -> Result<Vec<(UserId, DateTime<Utc>)>, StoreError> {
        self.read_last_logins(users)
    }

    fn forget_events(&self, before: DateTime<Utc>, limit: u32) -> Result<usize, StoreError> {
        let oldest = old
            .filter(
                old.field(session_events::id)
                    .lt(first_id(before).to_string()),
            )
            .order(old.field(session_events::id))
            .limit(limit.into())
            .select(old.field(session_events::id));
        self.change(|connection| {
            let rows = session_events::table.filter(session_events::id.eq_any(oldest.clone()));
            Ok(run_on!(connection, |connection| diesel::delete(rows)
                .execute(connection)?))
        })
    }

    fn forget_events_of(&self, user_id: &UserId) -> Result<usize, StoreError> {
        if !user_id.is_possible() {
            return Ok(0);
        }
        let rows = session_events::table.filter(session_events::user_id.eq(user_id));
        self.change(|connection| {
            Ok(run_on!(connection, |connection| diesel::delete(rows)
                .execute(connection)?))
        })
    }
}
