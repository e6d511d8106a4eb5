//! The JSON of sessions, over HTTP and on the command line.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rocket::serde::Serialize;
use rocket::serde::json::{Value, from_str};
use rocket_diesel_sessions::SessionStatus;
use rocket_diesel_sessions::admin::{SessionStats, typed_data};
use rocket_diesel_sessions::store::{HourStats, SessionRecord};
use rocket_diesel_sessions::{SessionHandle, UserId};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::search::Cursor;

/// A session as its visitor sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct SessionView {
    #[schema(value_type = String)]
    id: SessionHandle,
    session_id: Uuid,
    #[schema(value_type = Option<String>, required)]
    user_id: Option<UserId>,
    /// What `SessionData` has, and fields of other versions of the server. Data that is not JSON is a
    /// text.
    #[schema(value_type = Value)]
    data: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<SessionRecord> for SessionView {
    fn from(record: SessionRecord) -> Self {
        let json = typed_data(&record);
        // Data that is not JSON is shown as a string.
        let data = from_str(&json).unwrap_or_else(|_| Value::String(json.into_owned()));
        Self {
            id: record.id,
            session_id: record.session_id,
            user_id: record.user_id,
            data,
            created_at: record.created_at,
            updated_at: record.updated_at,
            expires_at: record.expires_at,
        }
    }
}

/// How long the visitor's session still lives, in whole seconds. Null without a session.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct StatusView {
    #[schema(required)]
    idle_seconds: Option<u64>,
    #[schema(required)]
    absolute_seconds: Option<u64>,
}

impl From<Option<SessionStatus>> for StatusView {
    fn from(status: Option<SessionStatus>) -> Self {
        Self {
            idle_seconds: status.map(|status| status.idle.as_secs()),
            absolute_seconds: status.map(|status| status.absolute.as_secs()),
        }
    }
}

/// `{"session": …}`, with null for a visitor without a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub(crate) struct CurrentSession {
    #[schema(required)]
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
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct AdminSessionView {
    #[serde(flatten)]
    session: SessionView,
    absolute_expires_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(required)]
    ip: Option<String>,
}

impl From<SessionRecord> for AdminSessionView {
    fn from(mut record: SessionRecord) -> Self {
        Self {
            absolute_expires_at: record.absolute_expires_at,
            last_seen_at: record.last_seen_at,
            user_agent: record.user_agent.take(),
            ip: record.ip.take(),
            session: record.into(),
        }
    }
}

/// `{"sessions": […], "next": …}`, with a cursor or null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct SessionList {
    sessions: Vec<AdminSessionView>,
    #[schema(required)]
    next: Option<String>,
}

impl SessionList {
    /// Makes a list of sessions that goes on at the cursor, if there are more.
    pub fn new(sessions: Vec<SessionRecord>, next: Option<Cursor>) -> Self {
        Self {
            sessions: sessions.into_iter().map(Into::into).collect(),
            next: next.map(|next| next.to_string()),
        }
    }
}

/// Statistics of the use of sessions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub struct StatsView {
    active: u64,
    anonymous: u64,
    signed_in: u64,
    /// Whether the three numbers above were counted just now. Otherwise they are the last sample.
    exact: bool,
    /// Only there if it is true. There are more than 10,000 sessions that have not been counted yet: the
    /// first number above is the least that there may be, and the others say nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    minimum: bool,
    /// The hours with statistics, oldest first.
    hours: Vec<HourView>,
    next_expiries: Vec<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct HourView {
    hour: DateTime<Utc>,
    created: u64,
    /// Numbers by reason, ordered by the reasons' names.
    #[schema(value_type = BTreeMap<String, u64>)]
    ended: BTreeMap<&'static str, u64>,
    peak_active: u64,
    users: u64,
}

impl From<HourStats> for HourView {
    fn from(stats: HourStats) -> Self {
        let ended = stats.ended.iter();
        Self {
            hour: stats.hour,
            created: stats.created,
            ended: ended
                .map(|(reason, number)| (reason.name(), number))
                .collect(),
            peak_active: stats.peak_active,
            users: stats.users,
        }
    }
}

impl From<SessionStats> for StatsView {
    fn from(stats: SessionStats) -> Self {
        Self {
            active: stats.active,
            anonymous: stats.active.saturating_sub(stats.signed_in),
            signed_in: stats.signed_in,
            exact: stats.is_exact,
            minimum: stats.is_minimum,
            hours: stats.hours.into_iter().map(Into::into).collect(),
            next_expiries: stats.next_expiries,
        }
    }
}

/// `{"session": …}`, with the data of the session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct SessionDetail {
    session: VersionedView,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct VersionedView {
    #[serde(flatten)]
    session: AdminSessionView,
    version: i64,
}

impl From<SessionRecord> for SessionDetail {
    fn from(record: SessionRecord) -> Self {
        Self {
            session: VersionedView {
                version: record.version,
                session: record.into(),
            },
        }
    }
}
