//! The answer of a page's route.

use askama::Template;
use rocket::http::Status;
use rocket::request::Request;
use rocket::response::content::RawHtml;
use rocket::response::{self, Redirect, Responder};

use crate::http::error::ApiError;

pub(super) type PageResult = Result<Page, ApiError>;

/// The answer of a page's route.
pub(super) enum Page {
    /// HTML with its status, and the seconds of `Retry-After`.
    Html(Status, String, Option<u64>),
    /// A redirect to the address of another page.
    Next(&'static str),
    /// A redirect to an address with a query.
    NextWith(String),
}

impl Page {
    /// Shows a page.
    pub(super) fn show(template: &impl Template) -> PageResult {
        Self::with_status(Status::Ok, template)
    }

    /// Shows a page with this status.
    pub(super) fn with_status(status: Status, template: &impl Template) -> PageResult {
        Ok(Self::Html(status, render(template)?, None))
    }

    /// Shows a form again, with what was wrong with it.
    pub(super) fn refused(error: &ApiError, template: &impl Template) -> PageResult {
        let html = render(template)?;
        Ok(Self::Html(error.status(), html, error.retry_after()))
    }
}

fn render(template: &impl Template) -> Result<String, ApiError> {
    template.render().map_err(|error| {
        tracing::error!("a page cannot be rendered: {error}");
        ApiError::internal()
    })
}

impl<'r> Responder<'r, 'static> for Page {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let (status, html, retry_after) = match self {
            Self::Html(status, html, retry_after) => (status, html, retry_after),
            Self::Next(path) => return Redirect::to(path).respond_to(request),
            Self::NextWith(path) => return Redirect::to(path).respond_to(request),
        };
        let mut response = RawHtml(html).respond_to(request)?;
        response.set_status(status);
        if let Some(seconds) = retry_after {
            response.set_raw_header("Retry-After", seconds.to_string());
        }
        Ok(response)
    }
}
