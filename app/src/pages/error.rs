//! The catcher of all errors. Browsers get a page that says what happened and what can be done.

use askama::Template;
use rocket::http::{Method, Status};
use rocket::outcome::Outcome;
use rocket::response::content::RawHtml;
use rocket::response::{self, Redirect, Responder};
use rocket::{Catcher, Request, catch, catchers};
use rocket_diesel_sessions::Session;
use uuid::Uuid;

use super::advice::{Advice, Failed};
use super::filters;
use super::frame::Frame;
use crate::accounts::users::Users;
use crate::guards::admin_token::presented_token;
use crate::http::error::ApiError;
use crate::http::failure::{failure, wants_page};
use crate::http::next::{Next, page_of_form};
use crate::http::paths::{allowed_methods, is_for_every_path};
use crate::http::request_id;
use crate::session_data::SessionData;

/// What the catcher answers.
enum Answer {
    Json(ApiError),
    SignIn(String),
    Page(ApiError, String),
}

impl<'r> Responder<'r, 'static> for Answer {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        match self {
            Self::Json(error) => error.as_json(request),
            Self::SignIn(address) => Redirect::to(address).respond_to(request),
            Self::Page(error, html) => {
                let response = RawHtml(html).respond_to(request)?;
                Ok(error.with_headers(response))
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    advice: Advice,
    request_id: Uuid,
}

#[catch(default)]
async fn any(status: Status, request: &Request<'_>) -> Answer {
    let error = match failure(request, status) {
        Some(error) => error.clone(),
        None => found_by_rocket(status, request),
    };
    if !wants_page(request) {
        return Answer::Json(error);
    }
    if error.is_signed_out() {
        return Answer::SignIn(sign_in_address(request));
    }
    let frame = frame(status, request).await;
    let failed = Failed {
        error: &error,
        request,
        username: frame.username.as_deref(),
        is_admin: frame.is_admin,
    };
    let page = ErrorPage {
        advice: failed.advice(),
        frame,
        request_id: request_id::of(request),
    };
    match page.render() {
        Ok(html) => Answer::Page(error, html),
        Err(_) => Answer::Json(error),
    }
}

/// Returns the error where Rocket, or a guard of another crate, gave only a status.
fn found_by_rocket(status: Status, request: &Request<'_>) -> ApiError {
    if status == Status::NotFound {
        let allowed = allowed_methods(request);
        if !allowed.is_empty() && !allowed.contains(&request.method()) {
            return ApiError::wrong_method(request.method(), &allowed);
        }
    }
    // Of the routes for every path, only the check for other sites refuses with this.
    if status == Status::Forbidden && request.route().is_some_and(is_for_every_path) {
        return ApiError::cross_site();
    }
    ApiError::of(status)
}

/// Returns the address of the page for signing in, with the way back. After a form, it says that the form
/// was lost.
fn sign_in_address(request: &Request<'_>) -> String {
    if request.method() == Method::Get {
        let address = request.uri().to_string();
        return Next::new(Some(&address)).at("/login");
    }
    let page = page_of_form(request.uri().path().as_str());
    format!("{}&form=1", Next::new(Some(page)).at("/login"))
}

/// Returns the visitor's own frame. After an error of the server, it does not ask for the session, and has
/// the theme of a stranger whose session was loaded before.
async fn frame(status: Status, request: &Request<'_>) -> Frame {
    if presented_token(request).is_some() {
        return Frame::of_no_one();
    }
    if status.code >= 500 {
        let session = Session::<SessionData>::loaded(request);
        let session = session.filter(|session| session.user_id().is_none());
        return session.map_or_else(Frame::of_no_one, |session| Frame {
            theme: Frame::without_notice(&session, None).theme,
            ..Frame::of_no_one()
        });
    }
    let Outcome::Success(session) = request.guard::<Session<SessionData>>().await else {
        return Frame::of_no_one();
    };
    let Some(users) = request.rocket().state::<Users>() else {
        return Frame::of_no_one();
    };
    let account = match session.user_id() {
        Some(id) => match users.account(&id).await {
            Ok(account) => account,
            Err(_) => return Frame::of_no_one(),
        },
        None => None,
    };
    Frame {
        can_register: users.has_registration(),
        ..Frame::without_notice(&session, account.as_ref())
    }
}

pub(crate) fn catchers() -> Vec<Catcher> {
    catchers![any]
}
