//! An id for each request: in the header `X-Request-Id`, in the bodies of errors, and in the log
//! lines that are written while a handler runs.
//!
//! It is made here, as a `UUIDv7`. One that a client sends is not looked at: whoever could choose
//! it could make two requests look like one.

use std::sync::Arc;
use std::time::Instant;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::route::{Handler, Outcome};
use rocket::{Request, Response, Route};
use tracing::{Instrument, Span, debug, error_span, trace};
use uuid::Uuid;

use crate::monitoring::counters::Counters;

/// Target of the line a request, and of the span around its handler.
const REQUEST_LOG: &str = "rocket_diesel_sessions::request";

/// What is asked so often that a line for each would hide the others.
const HEALTH_CHECKS: [&str; 2] = ["/healthz", "/readyz"];

/// What is known of a request from its beginning on.
struct Known {
    id: Uuid,
    start: Instant,
    span: Span,
}

/// The request's own, which is made when it is first asked for.
fn known<'r>(request: &'r Request<'_>) -> &'r Known {
    request.local_cache(|| {
        let id = Uuid::now_v7();
        Known {
            id,
            start: Instant::now(),
            // At the highest level, so that no filter takes it from a line that is shown.
            span: error_span!(target: REQUEST_LOG, "request", request_id = %id),
        }
    })
}

/// The request's id.
pub(crate) fn of(request: &Request<'_>) -> Uuid {
    known(request).id
}

/// Sets the header, counts each request and writes a line for it: level debug, for health checks trace.
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
        // Without the query, which may say more than is for a log.
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

/// With two decimals.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The routes, whose guards, handlers and responders run in the request's span: what they log
/// carries the id. What runs for many requests at a time, as the pipeline's workers do, does not,
/// nor do fairings.
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
