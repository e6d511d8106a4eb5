//! The pages for registering, signing in and signing out.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Session, SessionError, SessionHandle, UserSessions};

use super::account::Device;
use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::page::{Page, PageResult};
use crate::accounts::error::AccountError;
use crate::accounts::revoke;
use crate::accounts::sign_in::{Lasting, sign_in, sign_out};
use crate::accounts::users::Users;
use crate::guards::registration::OpenRegistration;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::http::next::Next;
use crate::monitoring::audit::Trail;
use crate::monitoring::counters::Action;
use crate::session_data::SessionData;
use crate::words;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    keep: Keep,
    /// Why the visitor was led here.
    reason: Option<&'static str>,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    keep: Keep,
    problem: Option<&'a str>,
    /// Whether the problem is the password, and not the username.
    is_password_wrong: bool,
}

/// The page for signing in where the user is signed in on as many devices as allowed.
#[derive(Template)]
#[template(path = "too_many.html")]
struct TooMany<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a Next,
    keep: Keep,
    now: DateTime<Utc>,
    devices: Vec<Device>,
}

/// The most devices to choose from.
const DEVICES: u32 = 100;

/// The age up to which an account counts as made by a form that was sent twice.
const SENT_TWICE: TimeDelta = TimeDelta::minutes(10);

const TO_GO_ON: &str = "Sign in to continue.";

/// Words that are true for everyone who opens such an address.
const FORM_LOST: &str = "You are not signed in. If you have just sent a form, it was not processed. \
                         Sign in and send it again.";

const COOKIE_LOST: &str = "You are not signed in. If you have just entered the right password, your \
                           browser did not keep the cookie of the session, as it should not over \
                           plain http. Open this site at an address that begins with https.";

/// Whether browsers keep the session cookie only over TLS.
pub(crate) struct CookieNeedsTls(pub(crate) bool);

/// The box "Keep me signed in".
#[derive(Clone, Copy)]
struct Keep {
    is_checked: bool,
    time: Duration,
}

impl Keep {
    /// Returns the box, checked if the form has a value for it.
    fn new(users: &Users, value: Option<&str>) -> Self {
        Self {
            is_checked: value.is_some(),
            time: users.keep_signed_in(),
        }
    }

    /// Returns the time in words.
    fn in_words(&self) -> String {
        words::lasting(self.time)
    }

    fn lasting(self) -> Lasting {
        if self.is_checked {
            Lasting::Kept(self.time)
        } else {
            Lasting::WhileOpen
        }
    }
}

/// How a form was sent.
struct Arrival {
    /// Whether the browser may not keep the cookie.
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
    /// Redirects a visitor who has signed in. If the browser may not keep the cookie, the redirect leads
    /// to the page for signing in, which sees whether the cookie comes back.
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
        frame: Frame::of(&session, users).await?.at("/login"),
        username: "",
        next: &next,
        keep: Keep::new(users, None),
        reason,
        problem: None,
    })
}

/// The form to sign in.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct LoginForm {
    username: String,
    password: String,
    next: Option<String>,
    /// Sent if the box "Keep me signed in" is checked.
    keep: Option<String>,
    /// The handle of a device to sign out first, if there are too many.
    end: Option<SessionHandle>,
}

#[post("/login", data = "<form>")]
async fn login(
    session: Session<SessionData>,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    arrival: Arrival,
    trail: Trail,
    form: Form<LoginForm>,
) -> PageResult {
    let Form(form) = form;
    let next = Next::new(form.next.as_deref());
    let keep = Keep::new(users, form.keep.as_deref());
    let error = match users.recognise(&form.username, &form.password, trail).await {
        Ok(user) => {
            if let Some(device) = &form.end {
                let sessions = sessions.with_context(session.event_context());
                revoke::own_session(&sessions, &user.id, device, trail).await?;
            }
            let signed_in = sign_in(users, &session, &user, keep.lasting(), trail).await;
            match users.counted(Action::Login, signed_in) {
                Ok(()) => return Ok(arrival.go_on(&next)),
                Err(AccountError::Session(SessionError::TooManySessions)) => {
                    return too_many(&session, users, sessions, &user, &next, keep).await;
                }
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    let error = ApiError::from(error);
    if !error.is_for_the_form() {
        return Err(error);
    }
    Page::refused(
        &error,
        &LoginPage {
            frame: Frame::of(&session, users).await?.at("/login"),
            username: &form.username,
            next: &next,
            keep,
            reason: None,
            problem: Some(error.in_words()),
        },
    )
}

/// Shows the devices of a user who has given the right password, one of which must be signed out.
async fn too_many(
    session: &Session<SessionData>,
    users: &Users,
    sessions: &UserSessions,
    user: &UserRecord,
    next: &Next,
    keep: Keep,
) -> PageResult {
    let page = sessions.page(&user.id, DEVICES, None).await?;
    let device = |session| Device::of(session, None);
    let mut devices: Vec<Device> = page.sessions.into_iter().map(device).collect();
    devices.sort_by_key(|device| Reverse(device.last_seen_at));
    Page::refused(
        &SessionError::TooManySessions.into(),
        &TooMany {
            frame: Frame::of(session, users).await?,
            username: &user.username,
            next,
            keep,
            now: users.now(),
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
    let next = Next::new(next);
    if session.user_id().is_some() {
        return Ok(Page::NextWith(next.path().to_owned()));
    }
    users.require_registration()?;
    Page::show(&RegisterPage {
        frame: Frame::of(&session, users).await?.at("/register"),
        username: "",
        next: &next,
        keep: Keep::new(users, None),
        problem: None,
        is_password_wrong: false,
    })
}

/// The form to register.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct RegisterForm {
    username: String,
    password: String,
    next: Option<String>,
    /// Sent if the box "Keep me signed in" is checked.
    keep: Option<String>,
}

#[post("/register", data = "<form>")]
async fn register(
    session: Session<SessionData>,
    _open: OpenRegistration,
    users: &State<Users>,
    arrival: Arrival,
    trail: Trail,
    form: Form<RegisterForm>,
) -> PageResult {
    let Form(form) = form;
    let (username, password) = (form.username.as_str(), form.password.as_str());
    let next = Next::new(form.next.as_deref());
    let keep = Keep::new(users, form.keep.as_deref());
    let mut registered = users.register(username, password, trail).await;
    if let Err(AccountError::Taken(_)) = registered
        && let Some(user) = just_registered(users, username, password, trail).await
    {
        registered = Ok(user);
    }
    match registered.map_err(ApiError::from) {
        Ok(user) => {
            sign_in(users, &session, &user, keep.lasting(), trail).await?;
            // The account exists, even if the greeting cannot be stored.
            let _ = session.update(|data| Notice::Welcome.leave(data)).await;
            Ok(arrival.go_on(&next))
        }
        Err(error) if error.is_for_the_form() => Page::refused(
            &error,
            &RegisterPage {
                frame: Frame::of(&session, users).await?.at("/register"),
                username,
                next: &next,
                keep,
                problem: Some(error.in_words()),
                is_password_wrong: error.is_about("password"),
            },
        ),
        Err(error) => Err(error),
    }
}

/// Returns the user whom the same form has just registered, since a double click sends it twice. Older
/// accounts are left out, so that registering with their names is no guess at their passwords.
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

/// Signs out. With an address to return to, the visitor wants to sign in as someone else.
#[post("/logout?<next>")]
async fn logout(session: Session<SessionData>, trail: Trail, next: Option<&str>) -> PageResult {
    sign_out(&session, trail).await?;
    let next = Next::new(next);
    Ok(match next.field() {
        Some(_) => Page::NextWith(next.at("/login")),
        None => Page::Next("/signed-out"),
    })
}

/// Leads the address of the form, when it is typed or reloaded, to the home page.
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
