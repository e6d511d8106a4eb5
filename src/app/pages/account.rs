//! The page of a user's devices, password and account.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::{Route, State, get, post, routes};
use uuid::Uuid;

use super::{ApiError, Frame, Notice, Page, PageResult, Users};
use crate::app::account::{
    change_password, delete_user, devices, no_such_device, revoke_device, revoke_other_devices,
};
use crate::app::api::parse_cursor;
use crate::app::audit::Trail;
use crate::app::device;
use crate::app::fields::Fields;
use crate::app::signed_in::{SignedIn, sign_in};
use crate::{UserRecord, UserSession, UserSessions};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    frame: Frame,
    user: &'a UserRecord,
    devices: Vec<Device>,
    /// Whether these are the devices that signed in last.
    is_first: bool,
    /// The cursor of the page of those that signed in before.
    next: Option<Uuid>,
    problem: Option<&'a str>,
}

struct Device {
    id: String,
    is_current: bool,
    name: String,
    user_agent: Option<String>,
    ip: Option<String>,
    last_seen: String,
    last_seen_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Device {
    fn of(session: UserSession, current: &str, now: DateTime<Utc>) -> Self {
        let is_current = session.id == current;
        Self {
            is_current,
            name: device::name(session.user_agent.as_deref()),
            // It is being used to look at the page.
            last_seen: if is_current {
                "now".to_owned()
            } else {
                device::ago(session.last_seen_at, now)
            },
            id: session.id,
            user_agent: session.user_agent,
            ip: session.ip,
            last_seen_at: session.last_seen_at,
            created_at: session.created_at,
        }
    }
}

/// Asks for the password again, for a form that is then sent once more.
#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    frame: Frame,
    username: &'a str,
    action: &'a str,
    /// What the button does.
    verb: &'static str,
    problem: Option<&'a str>,
}

const PATH: &str = "/account";

/// Devices on a page.
const DEVICES: u32 = 100;

async fn show(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    after: Option<Uuid>,
    refused: Option<&ApiError>,
) -> PageResult {
    let user = signed_in.user(users).await?;
    let now = users.now();
    let device = |session| Device::of(session, &signed_in.id, now);
    let list = devices(signed_in, sessions, DEVICES, after).await?;
    let mut devices: Vec<Device> = list.sessions.into_iter().map(device).collect();
    devices.sort_by_key(|device| (!device.is_current, std::cmp::Reverse(device.last_seen_at)));
    let page = AccountPage {
        frame: Frame::of_user(&signed_in.session, Some(&user)).await?,
        user: &user,
        devices,
        is_first: after.is_none(),
        next: list.next,
        problem: refused.map(ApiError::message),
    };
    match refused {
        Some(error) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

#[get("/account?<after>")]
async fn account(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    after: Option<&str>,
) -> PageResult {
    let signed_in = signed_in?;
    let after = after.map(parse_cursor).transpose()?;
    show(&signed_in, users, sessions, after, None).await
}

/// How a form that needs the password again goes on.
enum Confirmed {
    /// It was given a short time ago.
    Recently,
    /// It came with the form and is right.
    Now(UserRecord),
    /// It has to be asked for.
    No(Option<ApiError>),
}

async fn confirm(
    signed_in: &SignedIn,
    users: &Users,
    trail: Trail,
    fields: &Fields,
) -> Result<Confirmed, ApiError> {
    match fields.optional("password") {
        Some(password) => {
            let (user_id, id) = (&signed_in.user_id, &signed_in.id);
            match users.confirm(user_id, id, password, trail).await {
                Ok(user) => Ok(Confirmed::Now(user)),
                Err(error) if error.is_for_the_form() => Ok(Confirmed::No(Some(error))),
                Err(error) => Err(error),
            }
        }
        None if signed_in.has_just_given_password(users) => Ok(Confirmed::Recently),
        None => Ok(Confirmed::No(None)),
    }
}

async fn ask_for_password(
    signed_in: &SignedIn,
    users: &Users,
    action: &str,
    verb: &'static str,
    wrong: Option<ApiError>,
) -> PageResult {
    let user = signed_in.user(users).await?;
    let page = Confirm {
        frame: Frame::of_user(&signed_in.session, Some(&user)).await?,
        username: &user.username,
        action,
        verb,
        problem: wrong.as_ref().map(ApiError::message),
    };
    match &wrong {
        Some(error) => Page::refused(error, &page),
        None => Page::with_status(Status::Forbidden, &page),
    }
}

/// Gives the session a new token if the password was just given, and leaves a notice.
async fn done(
    signed_in: &SignedIn,
    confirmed: Confirmed,
    notice: Notice,
    trail: Trail,
) -> PageResult {
    let session = &signed_in.session;
    if let Confirmed::Now(user) = confirmed {
        sign_in(session, &user, trail).await?;
    }
    // It is done, whether it can be said or not.
    let _ = session.update(move |data| notice.leave(data)).await;
    Ok(Page::Next(PATH))
}

/// Signs out one other device; for this one it is the sign-out.
#[post("/account/sessions/<id>/end", data = "<fields>")]
async fn end_one(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    id: &str,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (signed_in, fields) = (signed_in?, fields?.of_form()?);
    if id == signed_in.id {
        signed_in.sign_out(trail).await?;
        return Ok(Page::Next("/signed-out"));
    }
    match confirm(&signed_in, users, trail, &fields).await? {
        Confirmed::No(wrong) => {
            let action = format!("/account/sessions/{}/end", percent_encoded(id));
            ask_for_password(&signed_in, users, &action, "Sign out that device", wrong).await
        }
        confirmed => {
            if !revoke_device(&signed_in, sessions, trail, id).await? {
                return Err(no_such_device().into());
            }
            done(&signed_in, confirmed, Notice::DeviceSignedOut, trail).await
        }
    }
}

fn percent_encoded(segment: &str) -> String {
    rocket::http::RawStr::new(segment)
        .percent_encode()
        .to_string()
}

/// Signs out all devices but this one.
#[post("/account/sessions/end-others", data = "<fields>")]
async fn end_others(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (signed_in, fields) = (signed_in?, fields?.of_form()?);
    match confirm(&signed_in, users, trail, &fields).await? {
        Confirmed::No(wrong) => {
            let action = "/account/sessions/end-others";
            let verb = "Sign out everywhere else";
            ask_for_password(&signed_in, users, action, verb, wrong).await
        }
        confirmed => {
            revoke_other_devices(&signed_in, sessions, trail).await?;
            done(&signed_in, confirmed, Notice::OthersSignedOut, trail).await
        }
    }
}

#[post("/account/password", data = "<fields>")]
async fn password(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (signed_in, fields) = (signed_in?, fields?.of_form()?);
    let current = fields.required("current_password")?;
    let new = fields.required("new_password")?;
    match change_password(&signed_in, users, sessions, trail, current, new).await {
        Ok(()) => {
            let session = &signed_in.session;
            // It is changed, whether it can be said or not.
            let _ = session
                .update(|data| Notice::PasswordChanged.leave(data))
                .await;
            Ok(Page::Next(PATH))
        }
        Err(error) if error.is_for_the_form() => {
            show(&signed_in, users, sessions, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/account/delete", data = "<fields>")]
async fn delete(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (signed_in, fields) = (signed_in?, fields?.of_form()?);
    if let Confirmed::No(wrong) = confirm(&signed_in, users, trail, &fields).await? {
        let verb = "Delete my account for good";
        return ask_for_password(&signed_in, users, "/account/delete", verb, wrong).await;
    }
    delete_user(&signed_in, users, sessions, trail).await?;
    Ok(Page::Next("/account-deleted"))
}

pub(super) fn routes() -> Vec<Route> {
    routes![account, end_one, end_others, password, delete]
}
