//! `/api/session`: the visitor's own session, and everyone's for administrators.

use rocket::data::{Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::Status;
use rocket::serde::Serialize;
use rocket::serde::json::{Json, Value};
use rocket::{Request, Route, State, delete, get, patch, routes};
use rocket_diesel_sessions::{PassiveSession, Session, SessionAdmin, UserSessions};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::openapi::parameters::{
    AfterSession, Filtered, Hours, Limit, OfAddress, OfUser, Searched, Sorted,
};
use super::openapi::responses::{
    Changes, Checked, ForAdministrators, Names, NeedsPassword, OwnSite, ReadsBody, Stored, TooLarge,
};
use super::query::{self, Given, NoQuery, Scope};
use super::views::{CurrentSession, SessionList, StatsView, StatusView};
use crate::accounts::administration::{Acting, Administration};
use crate::accounts::revoke;
use crate::accounts::users::Users;
use crate::guards::admin::{Admin, RecentAdmin};
use crate::http::body::{parse_json, read_body, unsupported};
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::search::server::{Search, Start, Subject};
use crate::search::{Cursor, Filter, Sort};
use crate::session_data::{DataPatch, SessionData};

/// Sessions on a page.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Hours of statistics.
const DEFAULT_HOURS: u32 = 24;
const MAX_HOURS: u32 = 90 * 24;

pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct Visit {
    #[schema(required)]
    session_id: Option<Uuid>,
    visit_count: u64,
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub(crate) struct Deleted {
    pub(crate) deleted: usize,
}

/// Counts a visit, and makes the session if there is none.
#[utoipa::path(
    get, path = "/test-session", operation_id = "countVisit", tag = "session",
    responses(
        (status = 200, description = "The visit is counted", body = Visit, headers(
            ("Set-Cookie" = String, description = "The session, if it is new")
        )),
        Changes, TooLarge, Stored,
    ),
    security((), ("session" = [])),
)]
#[get("/test-session")]
async fn test_session(session: Session<SessionData>) -> Answer<Visit> {
    let visit_count = session.update(SessionData::visit).await?;
    Ok(Json(Visit {
        session_id: session.session_id(),
        visit_count,
    }))
}

/// Shows the visitor's session. Only reads.
#[utoipa::path(
    get, path = "/", operation_id = "showSession", tag = "session",
    responses((status = 200, description = "The session, or null", body = CurrentSession), Stored),
    security((), ("session" = [])),
)]
#[get("/")]
fn current(session: Session<SessionData>) -> Answer<CurrentSession> {
    session.try_data()?;
    Ok(Json(session.record().into()))
}

/// Returns how long the visitor's session still lives. Asking is no activity.
#[utoipa::path(
    get, path = "/status", operation_id = "showStatus", tag = "session",
    responses((status = 200, description = "The time left, or nulls", body = StatusView), Stored),
    security((), ("session" = [])),
)]
#[get("/status")]
fn status(session: PassiveSession<SessionData>) -> Json<StatusView> {
    Json(session.status().into())
}

/// Changes fields of the visitor's data.
#[utoipa::path(
    patch, path = "/data", operation_id = "changeData", tag = "session",
    request_body = DataPatch,
    responses(
        (status = 200, description = "The session as it is now", body = CurrentSession, headers(
            ("Set-Cookie" = String, description = "The session, if it is new")
        )),
        ReadsBody, OwnSite, Changes, Stored,
    ),
    security((), ("session" = [])),
)]
#[patch("/data", data = "<patch>")]
async fn change_data(session: Session<SessionData>, patch: DataPatch) -> Answer<CurrentSession> {
    session.update(move |data| patch.apply(data)).await?;
    Ok(Json(session.record().into()))
}

/// Ends the visitor's session.
#[utoipa::path(
    delete, path = "/", operation_id = "endSession", tag = "session",
    responses(
        (status = 204, description = "There is no session any more", headers(
            ("Set-Cookie" = String, description = "Removes the cookie")
        )),
        Checked, OwnSite, Changes, Stored,
    ),
    security((), ("session" = [])),
)]
#[delete("/")]
async fn destroy(_query: NoQuery, session: Session<SessionData>) -> Result<Status, ApiError> {
    session.destroy().await?;
    Ok(Status::NoContent)
}

/// Lists a page of everyone's sessions.
#[utoipa::path(
    get, path = "/sessions", operation_id = "listSessions", tag = "administration",
    params(
        Limit<DEFAULT_LIMIT, MAX_LIMIT>, AfterSession, OfUser, OfAddress, Searched, Filtered, Sorted
    ),
    responses(
        (status = 200, description = "A page, newest first unless it is sorted or filtered by time. \
          It may have fewer sessions than the limit, even none, although there is a next one: a search \
          reads 5,000 rows at most", body = SessionList),
        ForAdministrators, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/sessions?<limit>&<after>&<user>&<ip>&<q>&<filter>&<sort>")]
#[expect(clippy::too_many_arguments, reason = "one per parameter")]
async fn list(
    _admin: Admin,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    limit: Given<'_>,
    after: Given<'_>,
    user: Given<'_>,
    ip: Given<'_>,
    q: Given<'_>,
    filter: Given<'_>,
    sort: Given<'_>,
) -> Answer<SessionList> {
    let limit = query::number("limit", &limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let user = query::user(&user)?;
    let ip = query::address("ip", &ip)?;
    let q = q.once("q")?.map(str::trim).filter(|q| !q.is_empty());
    let filter: Option<Filter> = query::parsed("filter", &filter)?;
    let chosen: Option<Sort> = query::parsed("sort", &sort)?;
    let sort = chosen.unwrap_or_else(|| Sort::of(filter));
    let after = query::after_in(after.once("after")?, sort)?;
    let (subject, text) = match (user, ip, q) {
        (Some(_), Some(_), _) => {
            return Err(ApiError::unprocessable("give user or ip, not both"));
        }
        (Some(id), None, _) => (Subject::UserId(id), q),
        (None, Some(ip), _) => (Subject::Address(ip), q),
        (None, None, Some(text)) => match Subject::named(users, sessions, text).await? {
            Subject::Everyone => (Subject::Everyone, q),
            named => (named, None),
        },
        (None, None, None) => (Subject::Everyone, None),
    };
    let search = Search {
        subject,
        text,
        filter,
        chosen,
        start: after.map_or(Start::First, |after| Start::After(after.place)),
        limit,
    };
    let results = search.run(users, sessions).await?;
    let ids = results.sessions.iter().map(|one| one.session.session_id);
    let records = sessions.load(ids.collect()).await?;
    let next = results.next.map(|place| Cursor::new(place, sort));
    Ok(Json(SessionList::new(records, next)))
}

/// Shows how sessions are used.
#[utoipa::path(
    get, path = "/stats", operation_id = "showStatistics", tag = "administration",
    params(Hours<DEFAULT_HOURS, MAX_HOURS>),
    responses(
        (status = 200, description = "The statistics", body = StatsView),
        ForAdministrators, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/stats?<hours>")]
async fn stats(
    _admin: Admin,
    sessions: &State<SessionAdmin>,
    hours: Given<'_>,
) -> Answer<StatsView> {
    let hours = query::number("hours", &hours, DEFAULT_HOURS, MAX_HOURS)?;
    Ok(Json(sessions.stats(hours).await?.into()))
}

/// Ends everyone's sessions, or those of one user or address.
#[utoipa::path(
    delete, path = "/sessions", operation_id = "endSessions", tag = "administration",
    params(OfUser, OfAddress),
    responses(
        (status = 200, description = "The sessions have ended", body = Deleted),
        ForAdministrators, OwnSite, NeedsPassword, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[delete("/sessions")]
async fn clear(
    admin: RecentAdmin,
    scope: Scope,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
) -> Answer<Deleted> {
    let administration = Administration {
        users,
        all,
        sessions,
        acting: admin.0,
    };
    let deleted = match scope {
        Scope::Everyone => administration.clear().await?,
        Scope::User(id) => administration.sign_out(&id).await?,
        Scope::Address(ip) => administration.end_address(ip).await?,
    };
    Ok(Json(Deleted { deleted }))
}

/// Ends one session, by handle.
#[utoipa::path(
    delete, path = "/sessions/{id}", operation_id = "endAnySession", tag = "administration",
    params(("id" = String, Path, description = "The handle of a session")),
    responses(
        (status = 204, description = "The session has ended"),
        ForAdministrators, OwnSite, NeedsPassword, Names, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[delete("/sessions/<id>")]
async fn revoke_one(
    admin: RecentAdmin,
    _query: NoQuery,
    sessions: &State<SessionAdmin>,
    id: &str,
) -> Result<Status, ApiError> {
    let RecentAdmin(Acting { by, context, trail }) = admin;
    let sessions = sessions.with_context(context);
    if revoke::any_session(&sessions, &id.into(), &by, trail).await? {
        Ok(Status::NoContent)
    } else {
        let message = "there is no session with this id";
        Err(ApiError::new(Status::NotFound, "not_found", message))
    }
}

#[rocket::async_trait]
impl<'r> FromData<'r> for DataPatch {
    type Error = ();

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> DataOutcome<'r, Self> {
        outcome(request, read_patch(request, body).await)
    }
}

async fn read_patch(request: &Request<'_>, body: Data<'_>) -> Result<DataPatch, ApiError> {
    let body = read_merge_patch(request, body).await?;
    DataPatch::from_json(body).map_err(ApiError::unprocessable)
}

/// Reads a JSON body with a change of some fields.
pub(super) async fn read_merge_patch(
    request: &Request<'_>,
    body: Data<'_>,
) -> Result<Value, ApiError> {
    if !request.content_type().is_some_and(|kind| kind.is_json()) {
        return Err(unsupported("application/json"));
    }
    let body = read_body(body, 64.kibibytes()).await?;
    parse_json(&body)
}

#[derive(OpenApi)]
#[openapi(paths(
    test_session,
    current,
    status,
    change_data,
    destroy,
    list,
    stats,
    clear,
    revoke_one
))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![
        test_session,
        current,
        status,
        change_data,
        destroy,
        list,
        stats,
        clear,
        revoke_one
    ]
}
