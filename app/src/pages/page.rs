//! What the route of a page answers.

use askama::Template;
use rocket::http::Status;
use rocket::request::Request;
use rocket::response::content::RawHtml;
use rocket::response::{self, Redirect, Responder};

use crate::http::error::ApiError;

pub(super) type PageResult = Result<Page, ApiError>;

/// What a page's route answers.
pub(super) enum Page {
    Html(Status, String, Option<u64>),
    /// To be fetched instead, with GET.
    Next(&'static str),
    /// The same, with a query.
    NextWith(String),
}

impl Page {
    pub(super) fn show(template: &impl Template) -> PageResult {
        Self::with_status(Status::Ok, template)
    }

    pub(super) fn with_status(status: Status, template: &impl Template) -> PageResult {
        Ok(Self::Html(status, render(template)?, None))
    }

    /// A form again, with what was wrong with it.
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
