//! The `sessions` row as Diesel sees it, in column types that both databases have.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::schema::sessions;
use super::{NewSession, SessionRecord, StoreError, TokenHash};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
// Otherwise a batch insert on SQLite is a statement for each row.
#[diesel(treat_none_as_default_value = false)]
pub(super) struct SessionRow {
    id: String,
    session_id: String,
    token_hash: Vec<u8>,
    user_id: Option<String>,
    data: String,
    version: i64,
    expires_at: NaiveDateTime,
    absolute_expires_at: NaiveDateTime,
    last_seen_at: NaiveDateTime,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl From<&NewSession> for SessionRow {
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
        }
    }
}

impl TryFrom<SessionRow> for SessionRecord {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let corrupt = |reason: &str| StoreError::Corrupt {
            id: row.id.clone(),
            reason: reason.to_owned(),
        };
        let session_id = Uuid::try_parse(&row.session_id)
            .map_err(|error| corrupt(&format!("session_id: {error}")))?;
        let hash = <[u8; 32]>::try_from(row.token_hash.as_slice())
            .map_err(|_| corrupt("token_hash is not 32 bytes long"))?;
        Ok(Self {
            session_id,
            token_hash: TokenHash::from_bytes(hash),
            id: row.id,
            user_id: row.user_id,
            data: row.data,
            version: row.version,
            expires_at: utc(row.expires_at),
            absolute_expires_at: utc(row.absolute_expires_at),
            last_seen_at: utc(row.last_seen_at),
            user_agent: row.user_agent,
            ip: row.ip,
            created_at: utc(row.created_at),
            updated_at: utc(row.updated_at),
        })
    }
}

fn utc(time: NaiveDateTime) -> DateTime<Utc> {
    time.and_utc()
}

/// Converts what a query returned.
pub(super) fn records(rows: Vec<SessionRow>) -> Result<Vec<SessionRecord>, StoreError> {
    rows.into_iter().map(TryInto::try_into).collect()
}
