//! Every error a client can get: JSON for programs, a page for browsers, never a stack trace.

use askama::Template;
use rocket::http::{Accept, Header, Status};
use rocket::response::content::RawHtml;
use rocket::response::{self, Responder};
use rocket::serde::{Serialize, json::Json};
use rocket::{Catcher, Request, Response, catch, catchers};

use crate::SessionError;

/// An error as `{"error":{"code":"…","message":"…"}}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: Status,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    pub(super) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// 422: understood, and not allowed.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Status::UnprocessableEntity, "invalid", message)
    }

    /// What a bare status means.
    fn of(status: Status) -> Self {
        let (code, message) = match status.code {
            400 => ("bad_request", "the request could not be understood"),
            401 => (
                "unauthorized",
                "this needs `Authorization: Bearer` with the admin token",
            ),
            403 => ("forbidden", "this is not allowed"),
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
        Self::new(status, code, message)
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            // Speaks of nothing but the caller's own data.
            SessionError::TooLarge { .. } => {
                Self::new(error.status(), "too_large", error.to_string())
            }
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
            },
        };
        let mut response = Response::build_from(Json(body).respond_to(request)?);
        response.status(self.status);
        if self.status == Status::Unauthorized {
            response.header(Header::new("WWW-Authenticate", "Bearer"));
        }
        if self.status == Status::ServiceUnavailable {
            response.header(Header::new("Retry-After", "1"));
        }
        response.ok()
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    theme: &'static str,
    title: &'static str,
    message: &'a str,
}

#[derive(Responder)]
enum ErrorAnswer {
    Page((Status, RawHtml<String>)),
    Json(ApiError),
}

#[catch(default)]
fn any(status: Status, request: &Request<'_>) -> ErrorAnswer {
    let error = ApiError::of(status);
    if !wants_page(request) {
        return ErrorAnswer::Json(error);
    }
    let page = ErrorPage {
        theme: "system",
        title: status.reason_lossy(),
        message: &error.message,
    };
    match page.render() {
        Ok(html) => ErrorAnswer::Page((status, RawHtml(html))),
        Err(_) => ErrorAnswer::Json(error),
    }
}

/// Whether a person is looking: a browser outside the API.
fn wants_page(request: &Request<'_>) -> bool {
    let accepts_html = |accept: &Accept| accept.iter().any(|media| media.media_type().is_html());
    !request.uri().path().starts_with("/api/") && request.accept().is_some_and(accepts_html)
}

pub(super) fn catchers() -> Vec<Catcher> {
    catchers![any]
}
