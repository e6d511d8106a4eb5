//! The JSON of users, events and sweeps, over HTTP and on the command line.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rocket::serde::Serialize;
use rocket_diesel_sessions::store::{EventRecord, SweepRecord, UserPresence, UserRecord};
use rocket_diesel_sessions::{SessionHandle, UserId};
use utoipa::ToSchema;
use uuid::Uuid;

/// `{"users": […], "next": …}`, with a cursor or null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct UserList {
    users: Vec<UserView>,
    #[schema(required)]
    next: Option<String>,
}

impl UserList {
    /// Puts together a page of users and what is known of their sessions.
    pub fn new(users: Vec<UserRecord>, presence: Vec<UserPresence>, next: Option<String>) -> Self {
        let mut presence: HashMap<UserId, UserPresence> = presence
            .into_iter()
            .map(|of_user| (of_user.user_id.clone(), of_user))
            .collect();
        let view = |user: UserRecord| {
            let presence = presence.remove(&user.id);
            UserView::present(user, presence)
        };
        Self {
            users: users.into_iter().map(view).collect(),
            next,
        }
    }
}

/// `{"user": …}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct UserDetail {
    user: UserView,
}

impl UserDetail {
    /// Shows a user with what is known of the user's sessions.
    pub fn present(user: UserRecord, presence: Option<UserPresence>) -> Self {
        Self {
            user: UserView::present(user, presence),
        }
    }
}

/// Shows a user without the sessions.
impl From<UserRecord> for UserDetail {
    fn from(user: UserRecord) -> Self {
        Self { user: user.into() }
    }
}

/// A user as an administrator sees it, with all columns except the hash of the password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct UserView {
    #[schema(value_type = String)]
    id: UserId,
    username: String,
    is_admin: bool,
    #[schema(required)]
    disabled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[serde(flatten)]
    presence: Option<PresenceView>,
}

/// What is known of a user's sessions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct PresenceView {
    /// As far as it is recorded or a live session shows it.
    #[schema(required)]
    last_sign_in_at: Option<DateTime<Utc>>,
    /// The number of live sessions, at most 1000.
    sessions: u32,
}

impl UserView {
    fn present(user: UserRecord, presence: Option<UserPresence>) -> Self {
        let presence = PresenceView {
            last_sign_in_at: presence.as_ref().and_then(|of_user| of_user.last_sign_in),
            sessions: presence.map_or(0, |of_user| of_user.sessions),
        };
        Self {
            presence: Some(presence),
            ..user.into()
        }
    }
}

impl From<UserRecord> for UserView {
    fn from(user: UserRecord) -> Self {
        Self {
            id: user.id,
            username: user.username,
            is_admin: user.is_admin,
            disabled_at: user.disabled_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
            presence: None,
        }
    }
}

/// `{"recorded": …, "events": […], "next": …}`, with a cursor or null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct EventList {
    /// Whether events are recorded.
    recorded: bool,
    events: Vec<EventView>,
    #[schema(required)]
    next: Option<Uuid>,
}

impl EventList {
    /// Shows a page of events, newest first, and whether events are recorded.
    pub fn new(events: Vec<EventRecord>, next: Option<Uuid>, recorded: bool) -> Self {
        Self {
            recorded,
            events: events.into_iter().map(Into::into).collect(),
            next,
        }
    }
}

/// An event as an administrator sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct EventView {
    id: Uuid,
    at: DateTime<Utc>,
    event: String,
    #[schema(required)]
    reason: Option<String>,
    /// The handle of the session to which it happened. Null if it happened to a user.
    #[schema(required, value_type = Option<String>)]
    session: Option<SessionHandle>,
    #[schema(required, value_type = Option<String>)]
    user_id: Option<UserId>,
    /// Who caused it, if not the user: an administrator's id, or a word such as `command_line`.
    #[schema(required)]
    actor: Option<String>,
    /// The name that the administrator had then. Null for words in the place of an id.
    #[schema(required)]
    actor_name: Option<String>,
    #[schema(required)]
    ip: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(required)]
    request_id: Option<String>,
}

impl From<EventRecord> for EventView {
    fn from(event: EventRecord) -> Self {
        Self {
            id: event.id,
            at: event.at,
            event: event.event,
            reason: event.reason,
            session: Some(event.session).filter(|handle| !handle.as_str().is_empty()),
            user_id: event.user_id,
            actor: event.actor,
            actor_name: event.actor_name,
            ip: event.ip,
            user_agent: event.user_agent,
            request_id: event.request_id,
        }
    }
}

/// `{"sweeps": […]}`, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct SweepList {
    sweeps: Vec<SweepView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct SweepView {
    started_at: DateTime<Utc>,
    seconds: f64,
    deleted: u64,
    /// Why the sweep ended early.
    #[schema(required)]
    error: Option<String>,
}

impl From<Vec<SweepRecord>> for SweepList {
    fn from(sweeps: Vec<SweepRecord>) -> Self {
        let view = |sweep: SweepRecord| SweepView {
            started_at: sweep.started_at,
            seconds: sweep.elapsed.as_secs_f64(),
            deleted: sweep.deleted,
            error: sweep.error,
        };
        Self {
            sweeps: sweeps.into_iter().map(view).collect(),
        }
    }
}
