//! The page of a user's devices, password and account.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::{RawStr, Status};
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Session, SessionHandle, UserSession, UserSessions};
use uuid::Uuid;

use super::activity::ActivityLine;
use super::confirm::{Confirmed, Question};
use super::filters;
use super::frame::Frame;
use super::notice::{Marks, Notice};
use super::page::{Page, PageResult};
use crate::accounts::revoke;
use crate::accounts::sign_in::sign_out;
use crate::accounts::users::Users;
use crate::api::account::devices;
use crate::api::activity::recent;
use crate::api::query;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::session_data::SessionData;
use crate::words;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    frame: Frame,
    user: &'a UserRecord,
    devices: Vec<Device>,
    /// Whether this is the first page, with the devices that signed in last.
    is_first: bool,
    /// The cursor of the next page, with the devices that signed in before.
    next: Option<Uuid>,
    /// What has happened lately, on the first page and if events are recorded.
    activity: Option<Vec<ActivityLine>>,
    problem: Option<&'a str>,
    /// Whether the problem is the current password, and not the new one.
    is_current_wrong: bool,
}

pub(super) struct Device {
    pub(super) id: SessionHandle,
    is_current: bool,
    pub(super) name: String,
    user_agent: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) last_seen: String,
    pub(super) last_seen_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Device {
    pub(super) fn of(
        session: UserSession,
        current: Option<&SessionHandle>,
        now: DateTime<Utc>,
    ) -> Self {
        let is_current = Some(&session.id) == current;
        Self {
            is_current,
            name: words::name(session.user_agent.as_deref()),
            // The page is open on it.
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

/// The most devices on a page.
const DEVICES: u32 = 100;

/// The most events in the list of recent activity.
const ACTIVITIES: u32 = 10;

async fn show(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    after: Option<Uuid>,
    refused: Option<&ApiError>,
) -> PageResult {
    let user = signed_in.user(users).await?;
    let now = users.now();
    let device = |session| Device::of(session, Some(&signed_in.handle), now);
    let list = devices(signed_in, sessions, DEVICES, after).await?;
    let mut devices: Vec<Device> = list.sessions.into_iter().map(device).collect();
    devices.sort_by_key(|device| (!device.is_current, std::cmp::Reverse(device.last_seen_at)));
    let activity = match after {
        None => recent(signed_in, sessions, ACTIVITIES).await?,
        Some(_) => None,
    };
    let line = |activity| ActivityLine::of(activity, now);
    let activity = activity.map(|list| list.into_iter().map(line).collect());
    let page = AccountPage {
        frame: Frame::of_user(&signed_in.session, Some(&user))
            .await?
            .at(PATH),
        user: &user,
        devices,
        is_first: after.is_none(),
        next: list.next,
        activity,
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
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    after: Option<&str>,
) -> PageResult {
    let after = query::after(after)?;
    show(&signed_in, users, sessions, after, None).await
}

/// A form that may need the password.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Confirmation {
    password: Option<String>,
}

/// Leaves a notice for the account's page and goes there.
async fn done(session: &Session<SessionData>, notice: Notice) -> PageResult {
    // It is done, even if the notice cannot be stored.
    let _ = session.update(move |data| notice.leave(data)).await;
    Ok(Page::Next(PATH))
}

/// Signs out one other device. For this device, it is the sign-out.
#[post("/account/sessions/<id>/end", data = "<form>")]
async fn end_one(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    id: &str,
    form: Form<Confirmation>,
) -> PageResult {
    let (session, password) = (&signed_in.session, form.0.password.as_deref());
    if id == signed_in.handle {
        sign_out(session, trail).await?;
        return Ok(Page::Next("/signed-out"));
    }
    let action = format!("/account/sessions/{}/end", RawStr::new(id).percent_encode());
    let purpose = "to sign out another device";
    let question = Question::again(purpose, &action, "Sign out that device", PATH);
    let confirmed = match question.confirm(&signed_in, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let sessions = signed_in.sessions(sessions);
    // If the form was sent twice, the second request finds nothing.
    let notice = if revoke::own_session(&sessions, &signed_in.user_id, &id.into(), trail).await? {
        Notice::DeviceSignedOut
    } else {
        Notice::DeviceWasGone
    };
    confirmed.renew(session, trail).await?;
    done(session, notice).await
}

/// Signs out all devices but this one.
#[post("/account/sessions/end-others", data = "<form>")]
async fn end_others(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    form: Form<Confirmation>,
) -> PageResult {
    let password = form.0.password.as_deref();
    let (purpose, action) = (
        "to sign out your other devices",
        "/account/sessions/end-others",
    );
    let question = Question::again(purpose, action, "Sign out everywhere else", PATH);
    let confirmed = match question.confirm(&signed_in, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let (user_id, keep) = (&signed_in.user_id, &signed_in.handle);
    let sessions = signed_in.sessions(sessions);
    revoke::other_sessions(&sessions, user_id, keep, trail).await?;
    confirmed.renew(&signed_in.session, trail).await?;
    done(&signed_in.session, Notice::OthersSignedOut).await
}

#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct PasswordChange {
    current_password: String,
    new_password: String,
}

#[post("/account/password", data = "<form>")]
async fn password(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    form: Form<PasswordChange>,
) -> PageResult {
    let Form(change) = form;
    let (current, new) = (&change.current_password, &change.new_password);
    let account = signed_in.account(trail);
    let changed = account.change_password(users, sessions, current, new).await;
    match changed.map_err(ApiError::from) {
        Ok(()) => done(&signed_in.session, Notice::PasswordChanged).await,
        Err(error) if error.is_for_the_form() => {
            show(&signed_in, users, sessions, None, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// The question before the account is deleted. It is always asked, even if the password was just given.
fn deletion() -> Question<'static> {
    Question {
        title: "Delete your account",
        text:
            "Your name, your password and all your sessions are deleted at once, and every device \
               is signed out. This cannot be undone."
                .to_owned(),
        action: "/account/delete",
        fields: Vec::new(),
        verb: "Delete my account permanently",
        back: PATH,
    }
}

#[get("/account/delete")]
async fn delete_page(signed_in: SignedIn, users: &State<Users>) -> PageResult {
    deletion().ask(&signed_in, users, Status::Ok, None).await
}

#[post("/account/delete", data = "<form>")]
async fn delete(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Confirmation>,
) -> PageResult {
    let (question, password) = (deletion(), form.0.password.as_deref());
    if let Confirmed::NotYet(page) = question
        .confirm_now(&signed_in, users, trail, password)
        .await?
    {
        return Ok(page);
    }
    let deleted = signed_in.account(trail).delete(users, sessions).await;
    match deleted.map_err(ApiError::from) {
        Ok(()) => {
            let mark = marks.mark(Notice::AccountDeleted);
            Ok(Page::NextWith(format!("/account-deleted?done={mark}")))
        }
        Err(error) if error.is_for_the_form() => {
            let (status, error) = (error.status(), Some(&error));
            question.ask(&signed_in, users, status, error).await
        }
        Err(error) => Err(error),
    }
}

/// Leads the address of a form, when it is typed or reloaded, to the page of the form.
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
