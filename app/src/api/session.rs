//! `/api/session`: the visitor's own session, and everybody's for administrators.

use rocket::data::{Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::{RawStr, Status};
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest};
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Request, Route, State, delete, get, patch, routes};
use rocket_diesel_sessions::{Session, SessionAdmin, UserSessions};
use uuid::Uuid;

use super::views::{CurrentSession, SessionList, StatsView};
use crate::accounts::users::Users;
use crate::guards::admin::{self, Admin};
use crate::guards::signed_in::SignedIn;
use crate::http::body::{bad_request, read_body, unsupported};
use crate::http::error::ApiError;
use crate::http::paths::NoQuery;
use crate::monitoring::audit::{Event, Trail};
use crate::session_data::{DataPatch, SessionData};

/// Sessions of one page.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Hours of the statistics.
const DEFAULT_HOURS: u32 = 24;
const MAX_HOURS: u32 = 90 * 24;

pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

#[derive(Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct Visit {
    session_id: Option<Uuid>,
    visit_count: u64,
}

/// How many sessions were ended.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
pub(crate) struct Deleted {
    pub(crate) deleted: usize,
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
async fn destroy(
    query: Result<NoQuery, ApiError>,
    session: Session<SessionData>,
) -> Result<Status, ApiError> {
    query?;
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

/// Ends everybody's sessions, or those of one user.
#[delete("/sessions")]
async fn clear(
    admin: Result<RecentAdmin, ApiError>,
    scope: Result<Scope, ApiError>,
    sessions: &State<SessionAdmin>,
    user_sessions: &State<UserSessions>,
    trail: Trail,
) -> Answer<Deleted> {
    let (RecentAdmin(admin), scope) = (admin?, scope?);
    let deleted = match scope {
        Scope::Everybody => {
            let deleted = sessions.clear().await?;
            trail.event(Event::SessionsCleared).by(admin.name()).write();
            deleted
        }
        Scope::User(id) => {
            let deleted = user_sessions.revoke_all(&id).await?;
            if deleted > 0 {
                let entry = trail.event(Event::SessionRevoked).by(admin.name());
                entry.user(&*id).write();
            }
            deleted
        }
    };
    Ok(Json(Deleted { deleted }))
}

/// Ends one session by its public handle.
#[delete("/sessions/<id>")]
async fn revoke(
    admin: Result<RecentAdmin, ApiError>,
    query: Result<NoQuery, ApiError>,
    sessions: &State<SessionAdmin>,
    trail: Trail,
    id: &str,
) -> Result<Status, ApiError> {
    let RecentAdmin(admin) = admin?;
    query?;
    if revoke_session(sessions, &admin, trail, id).await? {
        Ok(Status::NoContent)
    } else {
        let message = "there is no session with this id";
        Err(ApiError::new(Status::NotFound, "not_found", message))
    }
}

/// Ends a session for an administrator; returns whether it was there.
pub(crate) async fn revoke_session(
    sessions: &SessionAdmin,
    admin: &Admin,
    trail: Trail,
    id: &str,
) -> Result<bool, ApiError> {
    // Whose it was is not known afterwards. What cannot be read can be ended all the same.
    let found = sessions.find(id).await.ok().flatten();
    let was_there = sessions.revoke(id).await?;
    if was_there {
        let owner = found.and_then(|session| session.user_id);
        let entry = trail.event(Event::SessionRevoked).user(owner.as_deref());
        entry.by(admin.name()).session(id).write();
    }
    Ok(was_there)
}

/// An administrator who may end other people's sessions: a signed-in one has given the password a
/// short time ago.
struct RecentAdmin(Admin);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for RecentAdmin {
    type Error = ApiError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ApiError> {
        match recent_admin(request).await {
            Ok(admin) => Outcome::Success(Self(admin)),
            Err(error) => Outcome::Error((error.status(), error)),
        }
    }
}

async fn recent_admin(request: &Request<'_>) -> Result<Admin, ApiError> {
    let admin = match request.guard::<Admin>().await {
        Outcome::Success(admin) => admin,
        Outcome::Error((status, ())) | Outcome::Forward(status) => {
            return Err(admin::refusal(request, status));
        }
    };
    if let Admin::User(_) = &admin {
        let signed_in = match request.guard::<SignedIn>().await {
            Outcome::Success(signed_in) => signed_in,
            Outcome::Error((_, error)) => return Err(error),
            Outcome::Forward(status) => return Err(ApiError::of(status)),
        };
        let users = request.rocket().state::<Users>();
        signed_in.require_password(users.ok_or_else(ApiError::internal)?)?;
    }
    Ok(admin)
}

/// Whose sessions to end. What is misspelt must not end all of them.
enum Scope {
    /// Asked for without a query.
    Everybody,
    /// Of the user with this id: `?user=<id>`.
    User(String),
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Scope {
    type Error = ApiError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ApiError> {
        let query = request.uri().query().map(|query| query.as_str());
        let scope = Self::of(query).ok_or_else(|| {
            ApiError::unprocessable(
                "no session was ended: the query must be user=<id>, once; without a query, all \
                 sessions end",
            )
        });
        match scope {
            Ok(scope) => Outcome::Success(scope),
            Err(error) => Outcome::Error((error.status(), error)),
        }
    }
}

impl Scope {
    fn of(query: Option<&str>) -> Option<Self> {
        let Some(query) = query else {
            return Some(Self::Everybody);
        };
        let id = query.strip_prefix("user=")?;
        let id = RawStr::new(id).url_decode().ok()?;
        let is_one = !query.contains('&') && !id.trim().is_empty();
        is_one.then(|| Self::User(id.into_owned()))
    }
}

pub(crate) fn parse_number(name: &str, number: &str, most: u32) -> Result<u32, ApiError> {
    match number.parse() {
        Ok(parsed) if (1..=most).contains(&parsed) => Ok(parsed),
        _ => Err(ApiError::unprocessable(format!(
            "{name}: {number:?} is not a whole number from 1 to {most}"
        ))),
    }
}

pub(crate) fn parse_cursor(cursor: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(cursor)
        .ok()
        .filter(|uuid| uuid.get_version_num() == 7)
        .ok_or_else(|| {
            let message = format!("after: {cursor:?} is not the `next` of an earlier answer");
            ApiError::unprocessable(message)
                .in_other_words("This link is incomplete. Start from the first page.")
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

pub(crate) fn routes() -> Vec<Route> {
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
