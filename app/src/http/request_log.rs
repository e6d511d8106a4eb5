//! What each request leaves behind: a header with its id, a count and a line in the log.

use std::sync::Arc;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::route::{Handler, Outcome};
use rocket::{Request, Response, Route};
use tracing::{Instrument, debug, trace};

use super::request_id::{Known, REQUEST_LOG, known};
use crate::monitoring::counters::Counters;

/// Paths that are requested so often that their lines would hide the others.
const HEALTH_CHECKS: [&str; 2] = ["/healthz", "/readyz"];

/// Sets the header of each request, counts it and writes a line for it. The level is debug, or trace
/// for health checks.
pub(crate) struct RequestLog;

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
        let Known { id, start, span } = known(request);
        response.set_raw_header("X-Request-Id", id.to_string());
        // Without the query, which may have more than a log should.
        let path = request.uri().path().as_str();
        let (method, status) = (request.method().as_str(), response.status().code);
        let took = start.elapsed();
        if let Some(counters) = request.rocket().state::<Arc<Counters>>() {
            counters.answered(response.status(), took);
        }
        let ms = milliseconds(took);
        span.in_scope(|| {
            if HEALTH_CHECKS.contains(&path) {
                trace!(target: REQUEST_LOG, method, path, status, ms, "answered");
            } else {
                debug!(target: REQUEST_LOG, method, path, status, ms, "answered");
            }
        });
    }
}

/// Returns a duration in milliseconds, with two decimals.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Wraps routes so that their guards, handlers and responders run in the span of the request, and
/// their log lines carry its id. Fairings, and workers that serve many requests at a time, run outside
/// of it.
pub(crate) fn traced(mut routes: Vec<Route>) -> Vec<Route> {
    for route in &mut routes {
        route.handler = Box::new(Traced(route.handler.clone()));
    }
    routes
}

#[derive(Clone)]
struct Traced(Box<dyn Handler>);

#[rocket::async_trait]
impl Handler for Traced {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let span = known(request).span.clone();
        self.0.handle(request, data).instrument(span).await
    }
}
