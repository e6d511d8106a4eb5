//! The `sessions` row as Diesel reads and writes it, in column types that both databases have.

pub(super) mod ids;

use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::backend::Backend;
use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamp};
use uuid::Uuid;

use super::schema::sessions;
use crate::store::{
    Lifetime, NewSession, PendingSignIn, SessionHandle, SessionRecord, SignIn, StoreError,
    TokenHash, UserId,
};

/// A session to insert.
#[derive(Insertable)]
#[diesel(table_name = sessions)]
// Without this, a batch insert on SQLite would run one statement per row.
#[diesel(treat_none_as_default_value = false)]
pub(in crate::store) struct NewRow {
    id: SessionHandle,
    session_id: String,
    token_hash: Vec<u8>,
    user_id: Option<UserId>,
    data: String,
    version: i64,
    expires_at: NaiveDateTime,
    absolute_expires_at: NaiveDateTime,
    last_seen_at: NaiveDateTime,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    kind: String,
    idle_timeout: Option<i64>,
    absolute_timeout: Option<i64>,
    browser_session: bool,
    authenticated_at: Option<NaiveDateTime>,
    methods: Option<String>,
    actor: Option<String>,
    pending_login: Option<String>,
}

/// A stored session.
#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub(in crate::store) struct SessionRow {
    id: StoredText,
    session_id: StoredText,
    token_hash: Vec<u8>,
    user_id: Option<StoredText>,
    data: StoredText,
    version: i64,
    expires_at: StoredTime,
    absolute_expires_at: StoredTime,
    last_seen_at: StoredTime,
    user_agent: Option<StoredText>,
    ip: Option<StoredText>,
    created_at: StoredTime,
    updated_at: StoredTime,
    kind: StoredText,
    idle_timeout: Option<i64>,
    absolute_timeout: Option<i64>,
    browser_session: bool,
    authenticated_at: Option<StoredTime>,
    methods: Option<StoredText>,
    actor: Option<StoredText>,
    pending_login: Option<StoredText>,
}

/// A stored session without its data, for queries that read many rows.
#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub(in crate::store) struct LeanRow {
    id: StoredText,
    session_id: StoredText,
    token_hash: Vec<u8>,
    user_id: Option<StoredText>,
    version: i64,
    expires_at: StoredTime,
    absolute_expires_at: StoredTime,
    last_seen_at: StoredTime,
    user_agent: Option<StoredText>,
    ip: Option<StoredText>,
    created_at: StoredTime,
    updated_at: StoredTime,
    kind: StoredText,
    idle_timeout: Option<i64>,
    absolute_timeout: Option<i64>,
    browser_session: bool,
    authenticated_at: Option<StoredTime>,
    methods: Option<StoredText>,
    actor: Option<StoredText>,
    pending_login: Option<StoredText>,
}

impl From<LeanRow> for SessionRow {
    fn from(row: LeanRow) -> Self {
        Self {
            data: StoredText(Some(String::new())),
            id: row.id,
            session_id: row.session_id,
            token_hash: row.token_hash,
            user_id: row.user_id,
            version: row.version,
            expires_at: row.expires_at,
            absolute_expires_at: row.absolute_expires_at,
            last_seen_at: row.last_seen_at,
            user_agent: row.user_agent,
            ip: row.ip,
            created_at: row.created_at,
            updated_at: row.updated_at,
            kind: row.kind,
            idle_timeout: row.idle_timeout,
            absolute_timeout: row.absolute_timeout,
            browser_session: row.browser_session,
            authenticated_at: row.authenticated_at,
            methods: row.methods,
            actor: row.actor,
            pending_login: row.pending_login,
        }
    }
}

impl From<&NewSession> for NewRow {
    fn from(new: &NewSession) -> Self {
        let now = new.now.naive_utc();
        Self {
            id: new.id.clone(),
            session_id: new.session_id.to_string(),
            token_hash: new.token_hash.as_bytes().to_vec(),
            user_id: new.user_id.clone(),
            data: new.data.clone(),
            version: 0,
            expires_at: new.expires_at.naive_utc(),
            absolute_expires_at: new.absolute_expires_at.naive_utc(),
            last_seen_at: now,
            user_agent: new.user_agent.clone(),
            ip: new.ip.clone(),
            created_at: now,
            updated_at: now,
            kind: new.kind.clone(),
            idle_timeout: new.lifetime.idle.map(seconds),
            absolute_timeout: new.lifetime.absolute.map(seconds),
            browser_session: new.lifetime.browser_session,
            authenticated_at: new.sign_in.as_ref().map(|sign_in| sign_in.at.naive_utc()),
            methods: new.sign_in.as_ref().and_then(methods),
            actor: new
                .sign_in
                .as_ref()
                .and_then(|sign_in| sign_in.actor.clone()),
            pending_login: new.pending.as_ref().map(pending),
        }
    }
}

/// Converts a timeout to its stored form, in seconds.
pub(in crate::store) fn seconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX)
}

fn duration(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Converts the methods of a sign-in to their stored form, a JSON list, or `None` if there are
/// none.
pub(in crate::store) fn methods(sign_in: &SignIn) -> Option<String> {
    (!sign_in.methods.is_empty()).then(|| serde_json::json!(sign_in.methods).to_string())
}

/// Converts a login that awaits a further factor to its stored form, JSON.
pub(in crate::store) fn pending(pending: &PendingSignIn) -> String {
    serde_json::json!(pending).to_string()
}

/// Converts a stored sign-in. It is unknown if its time cannot be read.
fn sign_in(
    at: Option<StoredTime>,
    methods: Option<StoredText>,
    actor: Option<StoredText>,
) -> Option<SignIn> {
    let StoredTime(at) = at?;
    let methods = methods.and_then(|StoredText(methods)| serde_json::from_str(&methods?).ok());
    Some(SignIn {
        at: at?.and_utc(),
        methods: methods.unwrap_or_default(),
        actor: actor.and_then(|StoredText(actor)| actor),
    })
}

impl TryFrom<SessionRow> for SessionRecord {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let id = SessionHandle::from(row.id.shown());
        let corrupt = |reason: &str| StoreError::Corrupt {
            id: id.clone(),
            reason: reason.to_owned(),
        };
        let text = |column: &str, StoredText(text): StoredText| {
            text.ok_or_else(|| corrupt(&format!("{column} is not text")))
        };
        let user_id = row.user_id.map(|user| text("user_id", user));
        let session_id = Uuid::try_parse(&text("session_id", row.session_id)?)
            .map_err(|error| corrupt(&format!("session_id: {error}")))?;
        let hash = <[u8; 32]>::try_from(row.token_hash.as_slice())
            .map_err(|_| corrupt("token_hash is not 32 bytes long"))?;
        let time = |column: &str, StoredTime(time): StoredTime| match time {
            Some(time) => Ok(time.and_utc()),
            None => Err(corrupt(&format!("{column} is not a time"))),
        };
        Ok(Self {
            session_id,
            token_hash: TokenHash::from_bytes(hash),
            expires_at: time("expires_at", row.expires_at)?,
            absolute_expires_at: time("absolute_expires_at", row.absolute_expires_at)?,
            last_seen_at: time("last_seen_at", row.last_seen_at)?,
            created_at: time("created_at", row.created_at)?,
            updated_at: time("updated_at", row.updated_at)?,
            kind: text("kind", row.kind)?,
            lifetime: Lifetime {
                idle: row.idle_timeout.and_then(duration),
                absolute: row.absolute_timeout.and_then(duration),
                browser_session: row.browser_session,
            },
            sign_in: sign_in(row.authenticated_at, row.methods, row.actor),
            // An unreadable one has to start again.
            pending: row
                .pending_login
                .and_then(|StoredText(pending)| serde_json::from_str(&pending?).ok()),
            // An unreadable user id must not make the session anonymous.
            user_id: user_id.transpose()?.map(UserId::from),
            data: text("data", row.data)?,
            version: row.version,
            user_agent: row.user_agent.and_then(|StoredText(agent)| agent),
            ip: row.ip.and_then(|StoredText(ip)| ip),
            id: text("id", row.id)?.into(),
        })
    }
}

/// Converts the rows of a query.
pub(in crate::store) fn records(rows: Vec<SessionRow>) -> Result<Vec<SessionRecord>, StoreError> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Converts the readable rows and logs the others, so that one unreadable row does not hide the
/// rest of a list.
pub(in crate::store) fn readable(rows: Vec<SessionRow>) -> Vec<SessionRecord> {
    let record = |row: SessionRow| {
        SessionRecord::try_from(row)
            .inspect_err(|error| tracing::warn!("a session is omitted from a list: {error}"))
            .ok()
    };
    rows.into_iter().filter_map(record).collect()
}

/// A time, or `None` if Diesel cannot read the stored value. Other programs may write to the
/// tables, SQLite accepts any value in any column, and PostgreSQL has infinite times. One such
/// value must not make a query fail for all of its rows.
#[derive(Clone, Copy, Debug, FromSqlRow)]
pub(in crate::store) struct StoredTime(pub(in crate::store) Option<NaiveDateTime>);

impl<DB: Backend> FromSql<Timestamp, DB> for StoredTime
where
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(Self(NaiveDateTime::from_sql(bytes).ok()))
    }
}

/// A text, or `None` if Diesel cannot read the stored value. SQLite accepts any bytes.
#[derive(Clone, Debug, FromSqlRow)]
pub(in crate::store) struct StoredText(pub(in crate::store) Option<String>);

impl StoredText {
    /// Returns the text, or the replacement character if it is unreadable.
    pub(in crate::store) fn shown(&self) -> String {
        self.0.clone().unwrap_or_else(|| "\u{fffd}".to_owned())
    }
}

impl<DB: Backend> FromSql<Text, DB> for StoredText
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(Self(String::from_sql(bytes).ok()))
    }
}
