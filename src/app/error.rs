//! Every error a client can get: JSON for programs, a page for browsers, never a stack trace.

use std::time::Duration;

use askama::Template;
use rocket::http::{Accept, Status};
use rocket::response::content::RawHtml;
use rocket::response::{self, Redirect, Responder};
use rocket::serde::{Serialize, json::Json};
use rocket::{Catcher, Request, Response, catch, catchers};
use uuid::Uuid;

use super::admin;
use super::pages::Frame;
use super::request_id;
use crate::SessionError;

/// The code of a wrong name or password.
const WRONG_CREDENTIALS: &str = "wrong_credentials";

/// The code of what is only for signed-in users.
const SIGNED_OUT: &str = "signed_out";

/// Challenges of a 401: to administrators, and to users, whose scheme is the session cookie.
const ADMIN_CHALLENGE: &str = "Bearer";
const USER_CHALLENGE: &str = "Session";

/// An error as `{"error":{"code":"…","message":"…","requestId":"…"}}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: Status,
    code: &'static str,
    message: String,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
    /// How to authenticate, on 401 (RFC 9110, section 11.6.1).
    challenge: &'static str,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
    request_id: Uuid,
}

impl ApiError {
    pub(super) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: (status == Status::ServiceUnavailable).then_some(1),
            challenge: USER_CHALLENGE,
        }
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is about what was entered: for the form to say, and not for a page of its own.
    pub(super) fn is_for_the_form(&self) -> bool {
        matches!(self.status.code, 401 | 409 | 422 | 429) && self.code != "session_ended"
    }

    fn with_headers(&self, mut response: Response<'static>) -> Response<'static> {
        response.set_status(self.status);
        if self.status == Status::Unauthorized {
            response.set_raw_header("WWW-Authenticate", self.challenge);
        }
        if let Some(seconds) = self.retry_after {
            response.set_raw_header("Retry-After", seconds.to_string());
        }
        response
    }

    pub(super) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// 422: understood, and not allowed.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Status::UnprocessableEntity, "invalid", message)
    }

    /// 401: whoever it is, or says so, is not told what of the two was wrong
    /// (OWASP ASVS 5.0, 6.3.8).
    pub(super) fn wrong_credentials() -> Self {
        let message = "the username or the password is wrong";
        Self::new(Status::Unauthorized, WRONG_CREDENTIALS, message)
    }

    /// The same where no username was asked for.
    pub(super) fn without_username(mut self) -> Self {
        if self.code == WRONG_CREDENTIALS {
            "the password is wrong".clone_into(&mut self.message);
        }
        self
    }

    /// 401: only for signed-in users.
    pub(super) fn signed_out() -> Self {
        Self::new(Status::Unauthorized, SIGNED_OUT, "sign in first")
    }

    /// 429: `what` was done too often, with the time to wait.
    pub(super) fn too_many(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let message = format!("{what}; try again in {seconds} {unit}");
        Self {
            retry_after: Some(seconds),
            ..Self::new(Status::TooManyRequests, "too_many_attempts", message)
        }
    }

    /// 500, whose cause was logged.
    pub(super) fn internal() -> Self {
        Self::of(Status::InternalServerError)
    }

    /// What a bare status means.
    pub(super) fn of(status: Status) -> Self {
        let (code, message) = match status.code {
            400 => ("bad_request", "the request could not be understood"),
            401 => (
                "unauthorized",
                "this needs an administrator: sign in as one, or send `Authorization: Bearer` \
                 with the admin token",
            ),
            403 => (
                "forbidden",
                "this is not allowed for you, or was sent by another site",
            ),
            404 => ("not_found", "there is nothing here"),
            409 => (
                "session_ended",
                "the session was ended by another request; send the request again",
            ),
            413 => (
                "too_large",
                "the request or the session's data is too large",
            ),
            415 => (
                "unsupported_media_type",
                "the body must be application/json",
            ),
            422 => ("invalid", "the request was understood and is not allowed"),
            503 => (
                "unavailable",
                "the session store is not available; try again shortly",
            ),
            500..=599 => ("internal", "something went wrong here"),
            _ => ("error", status.reason_lossy()),
        };
        Self {
            challenge: ADMIN_CHALLENGE,
            ..Self::new(status, code, message)
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            // Speaks of nothing but the caller's own data.
            SessionError::TooLarge { .. } => {
                Self::new(error.status(), "too_large", error.to_string())
            }
            SessionError::UserRefused => Self::wrong_credentials(),
            SessionError::TooManySessions => Self::new(
                error.status(),
                "too_many_sessions",
                "you are signed in on as many devices as allowed; sign out on one of them first",
            ),
            _ => Self::of(error.status()),
        }
    }
}

impl<'r> Responder<'r, 'static> for ApiError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let body = Body {
            error: Detail {
                code: self.code,
                message: &self.message,
                request_id: request_id::of(request),
            },
        };
        let response = Json(body).respond_to(request)?;
        Ok(self.with_headers(response))
    }
}

/// An error of a page's route: a page for browsers, JSON for others. A browser whose session has
/// ended meanwhile is sent to sign in.
pub(super) struct PageError(ApiError);

impl<T: Into<ApiError>> From<T> for PageError {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    title: &'static str,
    message: &'a str,
    request_id: Uuid,
}

impl<'r> Responder<'r, 'static> for PageError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let error = self.0;
        if error.code == SIGNED_OUT && wants_page(request) {
            return Redirect::to("/login").respond_to(request);
        }
        let page = ErrorPage {
            frame: Frame::of_nobody(),
            title: error.status.reason_lossy(),
            message: &error.message,
            request_id: request_id::of(request),
        };
        match page.render() {
            Ok(html) if wants_page(request) => {
                let response = RawHtml(html).respond_to(request)?;
                Ok(error.with_headers(response))
            }
            _ => error.respond_to(request),
        }
    }
}

#[catch(default)]
fn any(status: Status, request: &Request<'_>) -> PageError {
    admin::refusal(request, status).into()
}

/// Whether a person is looking: a browser outside the API.
fn wants_page(request: &Request<'_>) -> bool {
    let accepts_html = |accept: &Accept| accept.iter().any(|media| media.media_type().is_html());
    !request.uri().path().starts_with("/api/") && request.accept().is_some_and(accepts_html)
}

pub(super) fn catchers() -> Vec<Catcher> {
    catchers![any]
}
