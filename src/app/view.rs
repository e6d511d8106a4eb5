//! The JSON shapes of sessions.

use chrono::{DateTime, Utc};
use rocket::serde::{Serialize, json::Value};
use uuid::Uuid;

use crate::{SessionPage, SessionRecord};

/// A session as its visitor sees it.
#[derive(Debug, Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(super) struct SessionView {
    id: String,
    session_id: Uuid,
    user_id: Option<String>,
    data: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<SessionRecord> for SessionView {
    fn from(record: SessionRecord) -> Self {
        Self {
            id: record.id,
            session_id: record.session_id,
            user_id: record.user_id,
            // What is no JSON is shown as it is.
            data: rocket::serde::json::from_str(&record.data).unwrap_or(Value::String(record.data)),
            created_at: record.created_at,
            updated_at: record.updated_at,
            expires_at: record.expires_at,
        }
    }
}

/// `{"session": …}`, null for a visitor without one.
#[derive(Debug, Serialize)]
#[serde(crate = "rocket::serde")]
pub(super) struct CurrentSession {
    session: Option<SessionView>,
}

impl From<Option<SessionRecord>> for CurrentSession {
    fn from(record: Option<SessionRecord>) -> Self {
        Self {
            session: record.map(Into::into),
        }
    }
}

/// A session as an administrator sees it.
#[derive(Debug, Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct AdminSessionView {
    #[serde(flatten)]
    session: SessionView,
    absolute_expires_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    user_agent: Option<String>,
    ip: Option<String>,
}

/// `{"sessions": […], "next": cursor or null}`.
#[derive(Debug, Serialize)]
#[serde(crate = "rocket::serde")]
pub(super) struct SessionList {
    sessions: Vec<AdminSessionView>,
    next: Option<Uuid>,
}

impl From<SessionPage> for SessionList {
    fn from(page: SessionPage) -> Self {
        let view = |mut record: SessionRecord| AdminSessionView {
            absolute_expires_at: record.absolute_expires_at,
            last_seen_at: record.last_seen_at,
            user_agent: record.user_agent.take(),
            ip: record.ip.take(),
            session: record.into(),
        };
        Self {
            sessions: page.sessions.into_iter().map(view).collect(),
            next: page.next,
        }
    }
}
