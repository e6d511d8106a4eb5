//! `/metrics`, for Prometheus.

use std::sync::Arc;

use rocket::http::{ContentType, Status};
use rocket::request::{self, FromRequest, Request};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use utoipa::OpenApi;

use super::counters::Counters;
use crate::api::openapi::responses::{ForAdministrators, Stored};
use crate::guards::admin::{Admin, is_from_this_machine};
use crate::guards::admin_token::presented_token;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::settings::config::MetricsAccess;

/// A client that may read the metrics.
struct Scraper;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Scraper {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl Scraper {
    async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let is_open = request.rocket().state() == Some(&MetricsAccess::Loopback);
        if is_open && presented_token(request).is_none() && is_from_this_machine(request) {
            return Ok(Self);
        }
        match Admin::of(request).await? {
            // Administration that is open to this machine does not override the setting.
            Admin::Local => Err(ApiError::of(Status::Unauthorized)),
            Admin::Token | Admin::User { .. } => Ok(Self),
        }
    }
}

/// Answers with all metrics, without a statement.
#[utoipa::path(
    get, path = "/metrics", operation_id = "showMetrics", tag = "monitoring",
    responses(
        (
            status = 200, description = "The metrics, in Prometheus' text format", body = String,
            content_type = "text/plain",
        ),
        ForAdministrators, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/metrics")]
fn metrics(
    _scraper: Scraper,
    sessions: &State<SessionAdmin>,
    counters: &State<Arc<Counters>>,
) -> (ContentType, String) {
    let parameters = [("version", "0.0.4"), ("charset", "utf-8")];
    let kind = ContentType::new("text", "plain").with_params(parameters);
    (kind, sessions.metrics() + &counters.to_text())
}

#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(crate) struct Paths;

/// Returns the route, unless metrics are off. Its guard finds `access` in the managed state.
pub(crate) fn routes(access: MetricsAccess) -> Vec<Route> {
    match access {
        MetricsAccess::Off => Vec::new(),
        MetricsAccess::Token | MetricsAccess::Loopback => routes![metrics],
    }
}
