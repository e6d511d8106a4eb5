//! The pages to register, to sign in and to sign out.

use std::cmp::Reverse;
use std::convert::Infallible;

use askama::Template;
use chrono::TimeDelta;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::Session;
use rocket_diesel_sessions::UserSessions;
use rocket_diesel_sessions::store::UserRecord;

use super::account::Device;
use super::frame::Frame;
use super::notice::Notice;
use super::page::{Page, PageResult};
use crate::accounts::error::AccountError;
use crate::accounts::users::Users;
use crate::guards::signed_in::sign_in;
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::http::next::Next;
use crate::monitoring::audit::{Event, Trail};
use crate::monitoring::counters::Action;
use crate::session_data::SessionData;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    /// Why one is here, if not by choice.
    reason: Option<&'static str>,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    problem: Option<&'a str>,
    /// Whether the problem is with the password, and not with the name.
    is_password_wrong: bool,
}

/// Signing in where as many devices are signed in as allowed.
#[derive(Template)]
#[template(path = "too_many.html")]
struct TooMany<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    devices: Vec<Device>,
}

/// Devices to choose from.
const DEVICES: u32 = 100;

/// How long after it was made an account counts as made by a form that was sent twice.
const SENT_TWICE: TimeDelta = TimeDelta::minutes(10);

const TO_GO_ON: &str = "Sign in to continue.";

/// True for everyone who opens such an address.
const FORM_LOST: &str = "You are not signed in. If you have just sent a form, it was not carried \
                         out: sign in and send it again.";

const COOKIE_LOST: &str = "You are not signed in. If you have just given the right password, your \
                           browser did not keep the cookie of the session: over plain http it does \
                           not. Open this site under an address that begins with https.";

/// Whether browsers keep the session's cookie over TLS only.
pub(crate) struct CookieNeedsTls(pub(crate) bool);

/// What is known of how a form came.
struct Arrival {
    /// Whether it may be that the browser will not keep the cookie.
    is_doubtful: bool,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Arrival {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Infallible> {
        let origin = request.headers().get_one("Origin").unwrap_or_default();
        let needs_tls = request.rocket().state::<CookieNeedsTls>();
        Outcome::Success(Self {
            is_doubtful: needs_tls.is_some_and(|needs| needs.0) && !origin.starts_with("https://"),
        })
    }
}

impl Arrival {
    /// Sends a visitor on who has signed in: where in doubt, over the page that sees whether the
    /// cookie comes back.
    fn go_on(&self, next: &Next) -> Page {
        if !self.is_doubtful {
            return Page::NextWith(next.path().to_owned());
        }
        let login = next.at("/login");
        let separator = if login.contains('?') { '&' } else { '?' };
        Page::NextWith(format!("{login}{separator}kept=1"))
    }
}

#[get("/login?<next>&<kept>&<form>")]
async fn login_page(
    session: Session<SessionData>,
    users: &State<Users>,
    next: Option<&str>,
    kept: Option<&str>,
    form: Option<&str>,
) -> PageResult {
    let next = Next::new(next);
    if session.user_id().is_some() {
        return Ok(Page::NextWith(next.path().to_owned()));
    }
    let reason = if kept.is_some() {
        Some(COOKIE_LOST)
    } else if form.is_some() {
        Some(FORM_LOST)
    } else {
        next.field().map(|_| TO_GO_ON)
    };
    Page::show(&LoginPage {
        frame: Frame::of(&session, users).await?,
        username: "",
        next: &next,
        reason,
        problem: None,
    })
}

#[post("/login", data = "<fields>")]
async fn login(
    session: Session<SessionData>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    arrival: Arrival,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let fields = fields?.of_form()?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    let next = Next::new(fields.optional("next"));
    let error = match users.recognise(username, password, trail).await {
        Ok(user) => {
            if let Some(device) = fields.optional("end") {
                end_device(&user, sessions, trail, device).await?;
            }
            match users.counted(Action::Login, sign_in(&session, &user, trail).await) {
                Ok(()) => return Ok(arrival.go_on(&next)),
                Err(error) if error.is_too_many_sessions() => {
                    return too_many(&session, users, sessions, &user, &next, &error).await;
                }
                Err(error) => error,
            }
        }
        Err(error) => error.into(),
    };
    if !error.is_for_the_form() {
        return Err(error.into());
    }
    Page::refused(
        &error,
        &LoginPage {
            frame: Frame::of(&session, users).await?,
            username,
            next: &next,
            reason: None,
            problem: Some(error.in_words()),
        },
    )
}

/// Signs out the device that was chosen to make room.
async fn end_device(
    user: &UserRecord,
    sessions: &UserSessions,
    trail: Trail,
    id: &str,
) -> Result<(), ApiError> {
    if sessions.revoke(&user.id, id).await? {
        let entry = trail.event(Event::SessionRevoked).user(&*user.id);
        entry.by(&user.id).session(id).write();
    }
    Ok(())
}

/// The devices of a user who has given the right password, one of which is to be signed out.
async fn too_many(
    session: &Session<SessionData>,
    users: &Users,
    sessions: &UserSessions,
    user: &UserRecord,
    next: &Next,
    error: &ApiError,
) -> PageResult {
    let page = sessions.page(&user.id, DEVICES, None).await?;
    let now = users.now();
    let device = |session| Device::of(session, "", now);
    let mut devices: Vec<Device> = page.sessions.into_iter().map(device).collect();
    devices.sort_by_key(|device| Reverse(device.last_seen_at));
    Page::refused(
        error,
        &TooMany {
            frame: Frame::of(session, users).await?,
            username: &user.username,
            next,
            devices,
        },
    )
}

#[get("/register?<next>")]
async fn register_page(
    session: Session<SessionData>,
    users: &State<Users>,
    next: Option<&str>,
) -> PageResult {
    users.require_registration()?;
    let next = Next::new(next);
    if session.user_id().is_some() {
        return Ok(Page::NextWith(next.path().to_owned()));
    }
    Page::show(&RegisterPage {
        frame: Frame::of(&session, users).await?,
        username: "",
        next: &next,
        problem: None,
        is_password_wrong: false,
    })
}

#[post("/register", data = "<fields>")]
async fn register(
    session: Session<SessionData>,
    users: &State<Users>,
    arrival: Arrival,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    users.admit_registration()?;
    let fields = fields?.of_form()?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    let next = Next::new(fields.optional("next"));
    let mut registered = users.register(username, password, trail).await;
    if let Err(AccountError::Taken(_)) = registered
        && let Some(user) = just_registered(users, username, password, trail).await
    {
        registered = Ok(user);
    }
    match registered.map_err(ApiError::from) {
        Ok(user) => {
            sign_in(&session, &user, trail).await?;
            // The account is there; it may do without its greeting.
            let _ = session.update(|data| Notice::Welcome.leave(data)).await;
            Ok(arrival.go_on(&next))
        }
        Err(error) if error.is_for_the_form() => Page::refused(
            &error,
            &RegisterPage {
                frame: Frame::of(&session, users).await?,
                username,
                next: &next,
                problem: Some(error.in_words()),
                is_password_wrong: error.is_about("password"),
            },
        ),
        Err(error) => Err(error.into()),
    }
}

/// The user whom the same form has just registered: it is sent twice by a double click. Older
/// accounts are not looked at, so that a name that is taken makes no guess at its password.
async fn just_registered(
    users: &Users,
    username: &str,
    password: &str,
    trail: Trail,
) -> Option<UserRecord> {
    let user = users.named(username).await.ok()??;
    if users.now() - user.created_at > SENT_TWICE {
        return None;
    }
    users.recognise(username, password, trail).await.ok()
}

#[post("/logout")]
async fn logout(session: Session<SessionData>, trail: Trail) -> PageResult {
    let (user_id, id) = (session.user_id(), session.handle());
    session.logout().await?;
    if let Some(user_id) = user_id {
        let entry = trail.event(Event::Logout).user(&*user_id);
        entry.by(&user_id).session(id.as_deref()).write();
    }
    Ok(Page::Next("/signed-out"))
}

/// The address of a form's target, typed or reloaded.
#[get("/logout")]
fn logout_page() -> Page {
    Page::Next("/")
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        login_page,
        login,
        register_page,
        register,
        logout,
        logout_page
    ]
}
