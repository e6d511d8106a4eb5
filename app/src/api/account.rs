//! `/api/account`: what signed-in users do about their devices, password and account.

use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Route, State, delete, get, post, routes};
use rocket_diesel_sessions::store::PasswordChange;
use rocket_diesel_sessions::{UserSession, UserSessionPage, UserSessions};
use uuid::Uuid;

use super::session::{Answer, Deleted, parse_cursor, parse_number};
use crate::accounts::users::{Users, refuse_username};
use crate::guards::signed_in::SignedIn;
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::http::paths::NoQuery;
use crate::monitoring::audit::{Event, Trail};
use crate::monitoring::counters::Action;

/// Devices on a page of the API at most, and by default.
const MAX_LIMIT: u32 = 1000;

/// `{"sessions": […], "next": cursor or null}`.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct DeviceList {
    sessions: Vec<DeviceView>,
    next: Option<Uuid>,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct DeviceView {
    id: String,
    /// Whether it is the one that asks.
    current: bool,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl DeviceView {
    fn of(session: UserSession, current: &str) -> Self {
        Self {
            current: session.id == current,
            id: session.id,
            user_agent: session.user_agent,
            ip: session.ip,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
        }
    }
}

/// A page of the user's devices, the last to sign in first.
#[get("/sessions?<limit>&<after>")]
async fn list(
    signed_in: Result<SignedIn, ApiError>,
    sessions: &State<UserSessions>,
    limit: Option<&str>,
    after: Option<&str>,
) -> Answer<DeviceList> {
    let signed_in = signed_in?;
    let limit = limit.map_or(Ok(MAX_LIMIT), |limit| {
        parse_number("limit", limit, MAX_LIMIT)
    })?;
    let after = after.map(parse_cursor).transpose()?;
    let page = devices(&signed_in, sessions, limit, after).await?;
    let view = |session| DeviceView::of(session, &signed_in.id);
    Ok(Json(DeviceList {
        sessions: page.sessions.into_iter().map(view).collect(),
        next: page.next,
    }))
}

/// A page of the user's devices. The one that asks is on the first page, and on no other, however
/// many have signed in since.
pub(crate) async fn devices(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    limit: u32,
    after: Option<Uuid>,
) -> Result<UserSessionPage, ApiError> {
    let mut page = sessions.page(&signed_in.user_id, limit, after).await?;
    let is_current = |session: &UserSession| session.id == signed_in.id;
    if after.is_some() {
        page.sessions.retain(|session| !is_current(session));
    } else if !page.sessions.iter().any(is_current) {
        let current = signed_in.session.record().map(UserSession::from);
        page.sessions.extend(current);
    }
    Ok(page)
}

/// Signs out one device.
#[delete("/sessions/<id>")]
async fn revoke(
    signed_in: Result<SignedIn, ApiError>,
    query: Result<NoQuery, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    id: &str,
) -> Result<Status, ApiError> {
    let signed_in = signed_in?;
    query?;
    if id == signed_in.id {
        signed_in.sign_out(trail).await?;
        return Ok(Status::NoContent);
    }
    signed_in.require_password(users)?;
    if revoke_device(&signed_in, sessions, trail, id).await? {
        Ok(Status::NoContent)
    } else {
        Err(no_such_device())
    }
}

/// Signs out all devices but this one.
#[delete("/sessions")]
async fn revoke_others(
    signed_in: Result<SignedIn, ApiError>,
    query: Result<NoQuery, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
) -> Answer<Deleted> {
    let signed_in = signed_in?;
    query?;
    signed_in.require_password(users)?;
    let deleted = revoke_other_devices(&signed_in, sessions, trail).await?;
    Ok(Json(Deleted { deleted }))
}

/// Changes the password; signs out the other devices.
#[post("/password", data = "<fields>")]
async fn password(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> Result<Status, ApiError> {
    let signed_in = signed_in?;
    let fields = fields?;
    let current = fields.required_as("currentPassword", "current_password")?;
    let new = fields.required_as("newPassword", "new_password")?;
    change_password(&signed_in, users, sessions, trail, current, new).await?;
    Ok(Status::NoContent)
}

/// Deletes the account, and with it all of its sessions.
#[delete("/")]
async fn delete_account(
    signed_in: Result<SignedIn, ApiError>,
    query: Result<NoQuery, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
) -> Result<Status, ApiError> {
    let signed_in = signed_in?;
    query?;
    signed_in.require_password(users)?;
    delete_user(&signed_in, users, sessions, trail).await?;
    Ok(Status::NoContent)
}

/// Signs out another device of the user; returns whether it was signed in.
pub(crate) async fn revoke_device(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    trail: Trail,
    id: &str,
) -> Result<bool, ApiError> {
    let user_id = &signed_in.user_id;
    let sessions = sessions.by(signed_in.session_id);
    let was_there = sessions.revoke(user_id, id).await?;
    if was_there {
        let entry = trail.event(Event::SessionRevoked).user(&**user_id);
        entry.by(user_id).session(id).write();
    }
    Ok(was_there)
}

/// Signs out all devices of the user but this one; returns how many.
pub(crate) async fn revoke_other_devices(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    trail: Trail,
) -> Result<usize, ApiError> {
    let user_id = &signed_in.user_id;
    let sessions = sessions.by(signed_in.session_id);
    let ended = sessions.revoke_others(user_id, &signed_in.id).await?;
    if ended > 0 {
        let entry = trail.event(Event::SessionRevoked).user(&**user_id);
        entry.by(user_id).deleted(ended).write();
    }
    Ok(ended)
}

fn no_such_device() -> ApiError {
    let message = "you have no session with this id";
    ApiError::new(Status::NotFound, "not_found", message)
}

/// Checks the current password and changes it, which ends the other sessions and rotates this one.
pub(crate) async fn change_password(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    trail: Trail,
    current: &str,
    new: &str,
) -> Result<(), ApiError> {
    let changed = replace_password(signed_in, users, sessions, trail, current, new).await;
    users.counted(Action::Password, changed)
}

async fn replace_password(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    trail: Trail,
    current: &str,
    new: &str,
) -> Result<(), ApiError> {
    let (user_id, id) = (&signed_in.user_id, &signed_in.id);
    let user = users.check(user_id, id, current, trail).await?;
    if new == current {
        let message = "newPassword: is the current password; choose another";
        let error = ApiError::unprocessable(message);
        return Err(error.in_other_words("The new password is the current one. Choose another."));
    }
    refuse_username(&user.username, new)?;
    let new_hash = users.hash(new).await?;
    let change = async |rotation, deadline| {
        let change = PasswordChange {
            user_id: user.id,
            old_hash: user.password_hash,
            new_hash,
            rotation: Some(rotation),
            now: users.now(),
            deadline: Some(deadline),
        };
        let ended = users.change_password(change).await?;
        sessions.note_ended(&ended);
        Ok::<_, ApiError>(())
    };
    signed_in.session.rotate_with(change).await?;
    let entry = trail.event(Event::PasswordChanged).user(&**user_id);
    entry.by(user_id).session(&**id).write();
    Ok(())
}

/// Deletes the user; the browser is told to forget the cookie.
pub(crate) async fn delete_user(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    trail: Trail,
) -> Result<(), ApiError> {
    let by = signed_in.acting(users);
    let ended = users.delete(&signed_in.user_id, by).await?;
    let entry = trail.event(Event::AccountDeleted).user(&*signed_in.user_id);
    entry.by(&signed_in.user_id).session(&*signed_in.id).write();
    sessions.note_ended(&ended);
    signed_in.session.logout().await?;
    Ok(())
}

pub(crate) fn routes() -> Vec<Route> {
    routes![list, revoke, revoke_others, password, delete_account]
}
