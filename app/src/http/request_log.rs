//! What each request leaves behind: a header with its id, a count and a line in the log.

use std::future::poll_fn;
use std::sync::Arc;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Status;
use rocket::route::{Handler, Outcome};
use rocket::{Request, Response, Route};
use tracing::{debug, trace};

use super::headers::protect;
use super::paths::has_empty_segment;
use super::request_id::{Known, known, within};
use crate::monitoring::counters::Counters;

/// The target of the log line of each request.
const REQUEST_LOG: &str = "rocket_diesel_sessions::request";

/// Paths that are requested so often that their lines would hide the others.
const HEALTH_CHECKS: [&str; 2] = ["/healthz", "/readyz"];

/// Sets the headers of each response that do not depend on its route, counts it and writes a line for
/// it. The level is debug, or trace for health checks.
pub(crate) struct RequestLog {
    /// Whether the profile is `debug`, whose responses go without HSTS.
    pub(crate) is_debug: bool,
}

#[rocket::async_trait]
impl Fairing for RequestLog {
    fn info(&self) -> Info {
        Info {
            name: "Request log",
            kind: Kind::Request | Kind::Response,
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        known(request);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let Known { id, start } = known(request);
        response.set_raw_header("X-Request-Id", id.to_string());
        // Without the query, which may have more than a log should.
        let path = request.uri().path().as_str();
        protect(response, self.is_debug);
        forbid_caching(path, response);
        let (method, status) = (request.method().as_str(), response.status().code);
        let took = start.elapsed();
        if let Some(counters) = request.rocket().state::<Arc<Counters>>() {
            counters.answered(response.status(), took);
        }
        within(id, || {
            if HEALTH_CHECKS.contains(&path) {
                trace!(target: REQUEST_LOG, method, path, status, ms = milliseconds(took), "answered");
            } else {
                debug!(target: REQUEST_LOG, method, path, status, ms = milliseconds(took), "answered");
            }
        });
    }
}

/// Keeps answers of the API out of caches.
fn forbid_caching(path: &str, response: &mut Response<'_>) {
    if path.starts_with("/api/") && !response.headers().contains("Cache-Control") {
        response.set_raw_header("Cache-Control", "no-store");
    }
}

/// Returns a duration in milliseconds, with two decimals.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Wraps routes so that log lines of their guards, handlers and responders carry the id of the request.
/// Fairings, and workers that serve many requests at a time, run outside of it. Answers 404 if the path
/// has an empty segment, before any guard runs.
pub(crate) fn wrapped(mut routes: Vec<Route>) -> Vec<Route> {
    for route in &mut routes {
        route.handler = Box::new(Wrapped(route.handler.clone()));
    }
    routes
}

#[derive(Clone)]
struct Wrapped(Box<dyn Handler>);

#[rocket::async_trait]
impl Handler for Wrapped {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        if has_empty_segment(request.uri().path().as_str()) {
            return Outcome::Error(Status::NotFound);
        }
        let id = known(request).id;
        let mut handled = self.0.handle(request, data);
        poll_fn(|context| within(id, || handled.as_mut().poll(context))).await
    }
}
