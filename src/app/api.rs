//! `/api/session`: the visitor's own session, and everybody's for administrators.

use rocket::data::{Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::Status;
use rocket::outcome::Outcome;
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Request, Route, State, delete, get, patch, routes};
use uuid::Uuid;

use super::admin::Admin;
use super::audit::{Event, Trail};
use super::data::{DataPatch, SessionData};
use super::error::ApiError;
use super::fields::{bad_request, read_body, unsupported};
use super::view::{CurrentSession, SessionList, StatsView};
use crate::{Session, SessionAdmin};

/// Sessions of one page.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Hours of the statistics.
const DEFAULT_HOURS: u32 = 24;
const MAX_HOURS: u32 = 90 * 24;

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

#[derive(Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct Visit {
    session_id: Option<Uuid>,
    visit_count: u64,
}

/// How many sessions were ended.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
pub(super) struct Deleted {
    pub(super) deleted: usize,
}

/// Counts a visit; makes the session.
#[get("/test-session")]
async fn test_session(session: Session<SessionData>) -> Answer<Visit> {
    let visit_count = session.update(SessionData::visit).await?;
    Ok(Json(Visit {
        session_id: session.session_id(),
        visit_count,
    }))
}

/// The visitor's session; reads only.
#[get("/")]
fn current(session: Session<SessionData>) -> Answer<CurrentSession> {
    session.try_data()?;
    Ok(Json(session.record().into()))
}

/// Changes fields of the visitor's data.
#[patch("/data", data = "<patch>")]
async fn change_data(
    session: Session<SessionData>,
    patch: Result<DataPatch, ApiError>,
) -> Answer<CurrentSession> {
    let patch = patch?;
    session.update(move |data| patch.apply(data)).await?;
    Ok(Json(session.record().into()))
}

/// Ends the visitor's session.
#[delete("/")]
async fn destroy(session: Session<SessionData>) -> Result<Status, ApiError> {
    session.destroy().await?;
    Ok(Status::NoContent)
}

/// A page of everybody's sessions.
#[get("/sessions?<limit>&<after>&<user>")]
async fn list(
    _admin: Admin,
    sessions: &State<SessionAdmin>,
    limit: Option<&str>,
    after: Option<&str>,
    user: Option<&str>,
) -> Answer<SessionList> {
    let limit = limit.map_or(Ok(DEFAULT_LIMIT), |limit| {
        parse_number("limit", limit, MAX_LIMIT)
    })?;
    let after = after.map(parse_cursor).transpose()?;
    let page = sessions.list(limit, after, user.map(str::to_owned)).await?;
    Ok(Json(page.into()))
}

/// How sessions are used.
#[get("/stats?<hours>")]
async fn stats(
    _admin: Admin,
    sessions: &State<SessionAdmin>,
    hours: Option<&str>,
) -> Answer<StatsView> {
    let hours = hours.map_or(Ok(DEFAULT_HOURS), |hours| {
        parse_number("hours", hours, MAX_HOURS)
    })?;
    Ok(Json(sessions.stats(hours).await?.into()))
}

/// Ends everybody's sessions.
#[delete("/sessions")]
async fn clear(admin: Admin, sessions: &State<SessionAdmin>, trail: Trail) -> Answer<Deleted> {
    let deleted = sessions.clear().await?;
    trail.event(Event::SessionsCleared).by(admin.name()).write();
    Ok(Json(Deleted { deleted }))
}

/// Ends one session by its public handle.
#[delete("/sessions/<id>")]
async fn revoke(
    admin: Admin,
    sessions: &State<SessionAdmin>,
    trail: Trail,
    id: &str,
) -> Result<Status, ApiError> {
    if sessions.revoke(id).await? {
        let entry = trail.event(Event::SessionRevoked).by(admin.name());
        entry.session(id).write();
        Ok(Status::NoContent)
    } else {
        let message = "there is no session with this id";
        Err(ApiError::new(Status::NotFound, "not_found", message))
    }
}

pub(super) fn parse_number(name: &str, number: &str, most: u32) -> Result<u32, ApiError> {
    match number.parse() {
        Ok(parsed) if (1..=most).contains(&parsed) => Ok(parsed),
        _ => Err(ApiError::unprocessable(format!(
            "{name}: {number:?} is not a whole number from 1 to {most}"
        ))),
    }
}

pub(super) fn parse_cursor(cursor: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(cursor)
        .ok()
        .filter(|uuid| uuid.get_version_num() == 7)
        .ok_or_else(|| {
            let message = format!("after: {cursor:?} is not the `next` of an earlier answer");
            ApiError::unprocessable(message)
        })
}

#[rocket::async_trait]
impl<'r> FromData<'r> for DataPatch {
    type Error = ApiError;

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> DataOutcome<'r, Self> {
        match read_patch(request, body).await {
            Ok(patch) => Outcome::Success(patch),
            Err(error) => Outcome::Error((Status::UnprocessableEntity, error)),
        }
    }
}

async fn read_patch(request: &Request<'_>, body: Data<'_>) -> Result<DataPatch, ApiError> {
    if !request.content_type().is_some_and(|kind| kind.is_json()) {
        return Err(unsupported("application/json"));
    }
    let body = read_body(body, 64.kibibytes()).await?;
    let body = rocket::serde::json::from_slice(&body)
        .map_err(|error| bad_request(format!("the body is not JSON: {error}")))?;
    DataPatch::from_json(body).map_err(ApiError::unprocessable)
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        test_session,
        current,
        change_data,
        destroy,
        list,
        stats,
        clear,
        revoke
    ]
}
