//! What has happened to a user's sessions, as the user may see it.

use chrono::{DateTime, Utc};
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::EventRecord;
use rocket_diesel_sessions::{SessionError, SessionHandle, UserSessions};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::openapi::parameters::Limit;
use super::openapi::responses::{Checked, ForUsers, Stored};
use super::query::{self, Given};
use super::session::Answer;
use crate::guards::signed_in::SignedIn;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// `{"events": […]}`, newest first.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct ActivityList {
    events: Vec<Activity>,
}

/// An event. What administrators do is shown without where they did it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct Activity {
    id: Uuid,
    pub(crate) at: DateTime<Utc>,
    pub(crate) event: String,
    #[schema(required)]
    pub(crate) reason: Option<String>,
    /// The handle of the session to which it happened. Null if it happened to the user.
    #[schema(required, value_type = Option<String>)]
    session: Option<SessionHandle>,
    pub(crate) by_administrator: bool,
    #[schema(required)]
    pub(crate) ip: Option<String>,
    #[schema(required)]
    pub(crate) user_agent: Option<String>,
    #[schema(required)]
    request_id: Option<String>,
}

impl From<EventRecord> for Activity {
    fn from(event: EventRecord) -> Self {
        // In this application, no one else acts for users.
        let by_administrator = event.actor.is_some();
        let of_user = |text: Option<String>| text.filter(|_| !by_administrator);
        Self {
            id: event.id,
            at: event.at,
            event: event.event,
            reason: event.reason,
            session: Some(event.session).filter(|handle| !handle.as_str().is_empty()),
            by_administrator,
            ip: of_user(event.ip),
            user_agent: of_user(event.user_agent),
            request_id: event.request_id,
        }
    }
}

/// Returns the newest events of the user, or `None` if no events are recorded.
pub(crate) async fn recent(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    limit: u32,
) -> Result<Option<Vec<EventRecord>>, SessionError> {
    match sessions.recent_activity(&signed_in.user_id, limit).await {
        Ok(events) => Ok(Some(events)),
        Err(SessionError::NoEvents) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists what has happened to the user's sessions lately.
#[utoipa::path(
    get, path = "/activity", operation_id = "listActivity", tag = "account",
    params(Limit<DEFAULT_LIMIT, MAX_LIMIT>),
    responses(
        (status = 200, description = "The newest events", body = ActivityList),
        ForUsers, Checked, Stored,
    ),
    security(("session" = [])),
)]
#[get("/activity?<limit>")]
async fn activity(
    signed_in: SignedIn,
    sessions: &State<UserSessions>,
    limit: Given<'_>,
) -> Answer<ActivityList> {
    let limit = query::number("limit", &limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let events = recent(&signed_in, sessions, limit)
        .await?
        .unwrap_or_default();
    Ok(Json(ActivityList {
        events: events.into_iter().map(Activity::from).collect(),
    }))
}

#[derive(OpenApi)]
#[openapi(paths(activity))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![activity]
}
