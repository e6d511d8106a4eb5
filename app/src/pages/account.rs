//! The page of a user's devices, password and account.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{UserSession, UserSessions};
use uuid::Uuid;

use super::confirm::{Confirmed, Question, ask, confirm, confirm_now};
use super::frame::Frame;
use super::notice::{Marks, Notice};
use super::page::{Page, PageResult};
use crate::accounts::users::Users;
use crate::api::account::{
    change_password, delete_user, devices, revoke_device, revoke_other_devices,
};
use crate::api::session::parse_cursor;
use crate::guards::signed_in::{SignedIn, sign_in};
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::words;

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
    /// Whether the problem is with the current password, and not with the new one.
    is_current_wrong: bool,
}

pub(super) struct Device {
    pub(super) id: String,
    is_current: bool,
    pub(super) name: String,
    user_agent: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) last_seen: String,
    pub(super) last_seen_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Device {
    pub(super) fn of(session: UserSession, current: &str, now: DateTime<Utc>) -> Self {
        let is_current = session.id == current;
        Self {
            is_current,
            name: words::name(session.user_agent.as_deref()),
            // It is being used to look at the page.
            last_seen: if is_current {
                "now".to_owned()
            } else {
                words::ago(session.last_seen_at, now)
            },
            id: session.id,
            user_agent: session.user_agent,
            ip: session.ip,
            last_seen_at: session.last_seen_at,
            created_at: session.created_at,
        }
    }
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
        problem: refused.map(ApiError::in_words),
        is_current_wrong: refused
            .is_some_and(|error| error.status() != Status::UnprocessableEntity),
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
            let question = Question {
                title: "Confirm your password",
                text: "It was given some time ago, and is needed to sign out another device.",
                action: &action,
                fields: Vec::new(),
                verb: "Sign out that device",
                back: PATH,
            };
            let status = Status::Forbidden;
            ask(&signed_in, users, &question, status, wrong.as_ref()).await
        }
        confirmed => {
            // Where the form was sent twice, the second one finds nothing.
            let notice = if revoke_device(&signed_in, sessions, trail, id).await? {
                Notice::DeviceSignedOut
            } else {
                Notice::DeviceWasGone
            };
            done(&signed_in, confirmed, notice, trail).await
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
            let question = Question {
                title: "Confirm your password",
                text: "It was given some time ago, and is needed to sign out your other devices.",
                action: "/account/sessions/end-others",
                fields: Vec::new(),
                verb: "Sign out everywhere else",
                back: PATH,
            };
            let status = Status::Forbidden;
            ask(&signed_in, users, &question, status, wrong.as_ref()).await
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

/// What the deletion is asked for with, however short ago the password was given.
const DELETION: Question<'static> = Question {
    title: "Delete your account",
    text: "Your name, your password and all your sessions are deleted at once, and every device is \
           signed out. This cannot be undone.",
    action: "/account/delete",
    fields: Vec::new(),
    verb: "Delete my account for good",
    back: PATH,
};

#[get("/account/delete")]
async fn delete_page(signed_in: Result<SignedIn, ApiError>, users: &State<Users>) -> PageResult {
    ask(&signed_in?, users, &DELETION, Status::Ok, None).await
}

#[post("/account/delete", data = "<fields>")]
async fn delete(
    signed_in: Result<SignedIn, ApiError>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (signed_in, fields) = (signed_in?, fields?.of_form()?);
    let refused = match confirm_now(&signed_in, users, trail, &fields).await? {
        Confirmed::No(wrong) => wrong,
        _ => match delete_user(&signed_in, users, sessions, trail).await {
            Ok(()) => {
                let mark = marks.mark(Notice::AccountDeleted);
                return Ok(Page::NextWith(format!("/account-deleted?done={mark}")));
            }
            Err(error) if error.is_for_the_form() => Some(error),
            Err(error) => return Err(error.into()),
        },
    };
    let status = Status::Forbidden;
    ask(&signed_in, users, &DELETION, status, refused.as_ref()).await
}

/// The address of a form's target, typed or reloaded: the page of the form.
#[get("/account/password")]
fn password_page() -> Page {
    Page::Next(PATH)
}

#[get("/account/sessions/end-others")]
fn end_others_page() -> Page {
    Page::Next(PATH)
}

#[get("/account/sessions/<_>/end")]
fn end_one_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        account,
        end_one,
        end_others,
        password,
        delete_page,
        delete,
        password_page,
        end_others_page,
        end_one_page
    ]
}
