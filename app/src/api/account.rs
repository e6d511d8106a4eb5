//! `/api/account`: the devices, the password and the account of a signed-in user.

use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::serde::json::Json;
use rocket::serde::{Deserialize, Serialize};
use rocket::{Route, State, delete, get, post, routes};
use rocket_diesel_sessions::{
    SessionAdmin, SessionHandle, UserSession, UserSessionPage, UserSessions,
};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::openapi::parameters::{After, Limit};
use super::openapi::responses::{
    Changes, Checked, ChecksPassword, ForUsers, Names, NeedsPassword, OwnSite, ReadsBody, Stored,
};
use super::openapi::schemas;
use super::query::{self, Given, NoQuery};
use super::session::{Answer, Deleted};
use crate::accounts::revoke;
use crate::accounts::sign_in::sign_out;
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;

/// The most devices on a page, which is also the default.
const MAX_LIMIT: u32 = 1000;

/// `{"sessions": […], "next": …}`, with a cursor or null.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct DeviceList {
    sessions: Vec<DeviceView>,
    #[schema(required)]
    next: Option<Uuid>,
}

#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct DeviceView {
    #[schema(value_type = String)]
    id: SessionHandle,
    /// Whether it is the device that asks.
    current: bool,
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(required)]
    ip: Option<String>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl DeviceView {
    pub(super) fn of(session: UserSession, current: &SessionHandle) -> Self {
        Self {
            current: session.id == *current,
            id: session.id,
            user_agent: session.user_agent,
            ip: session.ip,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
        }
    }
}

/// Lists a page of the user's devices, newest sign-in first.
#[utoipa::path(
    get, path = "/sessions", operation_id = "listDevices", tag = "account",
    params(Limit<MAX_LIMIT, MAX_LIMIT>, After),
    responses(
        (status = 200, description = "A page, newest sign-in first", body = DeviceList),
        ForUsers, Checked, Stored,
    ),
    security(("session" = [])),
)]
#[get("/sessions?<limit>&<after>")]
async fn list(
    signed_in: SignedIn,
    sessions: &State<UserSessions>,
    limit: Given<'_>,
    after: Given<'_>,
) -> Answer<DeviceList> {
    let limit = query::number("limit", &limit, MAX_LIMIT, MAX_LIMIT)?;
    let after = query::after(after.once("after")?)?;
    let page = devices(&signed_in, sessions, limit, after).await?;
    let view = |session| DeviceView::of(session, &signed_in.handle);
    Ok(Json(DeviceList {
        sessions: page.sessions.into_iter().map(view).collect(),
        next: page.next,
    }))
}

/// Returns a page of the user's devices. The device that asks is on the first page and on no other,
/// however many have signed in since.
pub(crate) async fn devices(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    limit: u32,
    after: Option<Uuid>,
) -> Result<UserSessionPage, ApiError> {
    let mut page = sessions.page(&signed_in.user_id, limit, after).await?;
    let is_current = |session: &UserSession| session.id == signed_in.handle;
    if after.is_some() {
        page.sessions.retain(|session| !is_current(session));
    } else if !page.sessions.iter().any(is_current) {
        let current = signed_in.session.record().map(UserSession::from);
        page.sessions.extend(current);
    }
    Ok(page)
}

/// Signs out one device.
#[utoipa::path(
    delete, path = "/sessions/{id}", operation_id = "signOutDevice", tag = "account",
    params(("id" = String, Path, description = "The handle of a session")),
    responses(
        (status = 204, description = "The device is signed out", headers(
            ("Set-Cookie" = String, description = "Removes the cookie, if it was this device")
        )),
        ForUsers, OwnSite, NeedsPassword, Names, Checked, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[delete("/sessions/<id>")]
async fn revoke_one(
    signed_in: SignedIn,
    _query: NoQuery,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    id: &str,
) -> Result<Status, ApiError> {
    let SignedIn {
        user_id, handle, ..
    } = &signed_in;
    if id == *handle {
        sign_out(&signed_in.session, trail).await?;
        return Ok(Status::NoContent);
    }
    signed_in.require_password(users)?;
    let sessions = signed_in.sessions(sessions);
    if revoke::own_session(&sessions, user_id, &id.into(), trail).await? {
        Ok(Status::NoContent)
    } else {
        let message = "you have no session with this id";
        Err(ApiError::new(Status::NotFound, "not_found", message))
    }
}

/// Signs out all devices but this one.
#[utoipa::path(
    delete, path = "/sessions", operation_id = "signOutOtherDevices", tag = "account",
    responses(
        (status = 200, description = "The other devices are signed out", body = Deleted),
        ForUsers, OwnSite, NeedsPassword, Checked, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[delete("/sessions")]
async fn revoke_others(
    signed_in: SignedIn,
    _query: NoQuery,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
) -> Answer<Deleted> {
    signed_in.require_password(users)?;
    let sessions = signed_in.sessions(sessions);
    let SignedIn {
        user_id, handle, ..
    } = &signed_in;
    let deleted = revoke::other_sessions(&sessions, user_id, handle, trail).await?;
    Ok(Json(Deleted { deleted }))
}

/// `{"currentPassword","newPassword"}`, in snake case too.
#[derive(Deserialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct PasswordChange {
    #[serde(alias = "current_password")]
    #[schema(example = "correct horse battery staple")]
    current_password: String,
    #[serde(alias = "new_password")]
    #[schema(schema_with = schemas::new_password)]
    new_password: String,
}

/// Changes the password and signs out the other devices.
#[utoipa::path(
    post, path = "/password", operation_id = "changePassword", tag = "account",
    request_body(content(
        (PasswordChange = "application/json"),
        (PasswordChange = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 204, description = "The password is changed, and the other devices are signed out", headers(
            ("Set-Cookie" = String, description = "The session, under a new token")
        )),
        ForUsers, ReadsBody, ChecksPassword, OwnSite, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[post("/password", data = "<body>")]
async fn change_password(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    body: Body<PasswordChange>,
) -> Result<Status, ApiError> {
    let Body(change) = body;
    let (current, new) = (&change.current_password, &change.new_password);
    let account = signed_in.account(trail);
    account
        .change_password(users, sessions, current, new)
        .await?;
    Ok(Status::NoContent)
}

/// Deletes the account, and with it all of its sessions.
#[utoipa::path(
    delete, path = "/", operation_id = "deleteAccount", tag = "account",
    responses(
        (status = 204, description = "The account is deleted", headers(
            ("Set-Cookie" = String, description = "Removes the cookie")
        )),
        ForUsers, OwnSite, NeedsPassword, Checked, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[delete("/")]
async fn delete_account(
    signed_in: SignedIn,
    _query: NoQuery,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    trail: Trail,
) -> Result<Status, ApiError> {
    signed_in.require_password(users)?;
    signed_in
        .account(trail)
        .delete(users, all, sessions)
        .await?;
    Ok(Status::NoContent)
}

#[derive(OpenApi)]
#[openapi(paths(list, revoke_one, revoke_others, change_password, delete_account))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![
        list,
        revoke_one,
        revoke_others,
        change_password,
        delete_account
    ]
}
