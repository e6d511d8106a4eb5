//! The pages to register, to sign in, and to have signed out.

use askama::Template;
use rocket::{Route, State, get, post, routes};

use super::{ApiError, Frame, Notice, Page, PageResult, Session, Users};
use crate::app::audit::{Event, Trail};
use crate::app::counters::Action;
use crate::app::data::SessionData;
use crate::app::fields::Fields;
use crate::app::signed_in::sign_in;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    username: &'a str,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    frame: Frame,
    username: &'a str,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "farewell.html")]
struct Farewell {
    frame: Frame,
    title: &'static str,
    message: &'static str,
}

/// Where signed-in users are sent.
const ACCOUNT: &str = "/account";

#[get("/login")]
async fn login_page(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    if session.user_id().is_some() {
        return Ok(Page::Next(ACCOUNT));
    }
    Page::show(&LoginPage {
        frame: Frame::of(&session, users).await?,
        username: "",
        problem: None,
    })
}

#[post("/login", data = "<fields>")]
async fn login(
    session: Session<SessionData>,
    users: &State<Users>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let fields = fields?.of_form()?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    let result = match users.recognise(username, password, trail).await {
        Ok(user) => users.counted(Action::Login, sign_in(&session, &user, trail).await),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => Ok(Page::Next(ACCOUNT)),
        Err(error) if error.is_for_the_form() => Page::refused(
            &error,
            &LoginPage {
                frame: Frame::of(&session, users).await?,
                username,
                problem: Some(error.message()),
            },
        ),
        Err(error) => Err(error.into()),
    }
}

#[get("/register")]
async fn register_page(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    if session.user_id().is_some() {
        return Ok(Page::Next(ACCOUNT));
    }
    Page::show(&RegisterPage {
        frame: Frame::of(&session, users).await?,
        username: "",
        problem: None,
    })
}

#[post("/register", data = "<fields>")]
async fn register(
    session: Session<SessionData>,
    users: &State<Users>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let fields = fields?.of_form()?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    match users.register(username, password, trail).await {
        Ok(user) => {
            sign_in(&session, &user, trail).await?;
            // The account is there; it may do without its greeting.
            let _ = session.update(|data| Notice::Welcome.leave(data)).await;
            Ok(Page::Next(ACCOUNT))
        }
        Err(error) if error.is_for_the_form() => Page::refused(
            &error,
            &RegisterPage {
                frame: Frame::of(&session, users).await?,
                username,
                problem: Some(error.message()),
            },
        ),
        Err(error) => Err(error.into()),
    }
}

#[post("/logout")]
async fn logout(session: Session<SessionData>, trail: Trail) -> PageResult {
    let (user_id, id) = (session.user_id(), session.id());
    session.logout().await?;
    if let Some(user_id) = user_id {
        let entry = trail.event(Event::Logout).user(&*user_id);
        entry.by(&user_id).session(id.as_deref()).write();
    }
    Ok(Page::Next("/signed-out"))
}

#[get("/signed-out")]
async fn signed_out(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    let message = "Your session on this device has ended. Your other devices are still signed in.";
    farewell(&session, users, "You are signed out", message).await
}

#[get("/account-deleted")]
async fn account_deleted(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    let message = "Nothing is left of it, and every device is signed out.";
    farewell(&session, users, "Your account is deleted", message).await
}

#[get("/all-signed-out")]
async fn all_signed_out(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    let message = "All sessions have ended, yours among them.";
    farewell(&session, users, "Everybody is signed out", message).await
}

/// A page for those who are gone; others are sent on.
async fn farewell(
    session: &Session<SessionData>,
    users: &Users,
    title: &'static str,
    message: &'static str,
) -> PageResult {
    if session.user_id().is_some() {
        return Ok(Page::Next(ACCOUNT));
    }
    Page::show(&Farewell {
        frame: Frame::of(session, users).await?,
        title,
        message,
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        login_page,
        login,
        register_page,
        register,
        logout,
        signed_out,
        account_deleted,
        all_signed_out
    ]
}
