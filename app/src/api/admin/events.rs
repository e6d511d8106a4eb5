//! `/api/admin/events`: what happened to users and to their sessions.

use rocket::serde::json::Json;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::{EventPage, ListEvents};
use rocket_diesel_sessions::{SessionAdmin, SessionError};

use utoipa::OpenApi;

use super::views::EventList;
use crate::api::openapi::parameters::{After, EventActor, EventName, EventsOfUser, Limit};
use crate::api::openapi::responses::{Checked, ForAdministrators, Stored};
use crate::api::query::{self, Given};
use crate::api::session::Answer;
use crate::guards::admin::Admin;

/// Events on a page.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Returns a page of events, or `None` if no events are recorded.
pub(crate) async fn page(
    sessions: &SessionAdmin,
    query: ListEvents,
) -> Result<Option<EventPage>, SessionError> {
    match sessions.find_events(query).await {
        Ok(page) => Ok(Some(page)),
        Err(SessionError::NoEvents) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists a page of events, newest first.
#[utoipa::path(
    get, path = "/events", operation_id = "listEvents", tag = "administration",
    params(Limit<DEFAULT_LIMIT, MAX_LIMIT>, After, EventsOfUser, EventName, EventActor),
    responses(
        (status = 200, description = "A page, newest first", body = EventList),
        ForAdministrators, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/events?<limit>&<after>&<user>&<event>&<actor>")]
async fn list(
    _admin: Admin,
    sessions: &State<SessionAdmin>,
    limit: Given<'_>,
    after: Given<'_>,
    user: Given<'_>,
    event: Given<'_>,
    actor: Given<'_>,
) -> Answer<EventList> {
    let mut query = ListEvents::default();
    query.limit = query::number("limit", &limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    query.after = query::after(after.once("after")?)?;
    query.user_id = query::user(&user)?;
    query.event = query::text("event", &event)?;
    query.actor = query::text("actor", &actor)?;
    let page = page(sessions, query).await?;
    let recorded = page.is_some();
    let EventPage { events, next, .. } = page.unwrap_or_default();
    Ok(Json(EventList::new(events, next, recorded)))
}

#[derive(OpenApi)]
#[openapi(paths(list))]
pub(crate) struct Paths;

pub(super) fn routes() -> Vec<Route> {
    routes![list]
}
