//! An id for each request: in the header `X-Request-Id`, in the bodies of errors, and in the log
//! lines that are written while a handler runs.
//!
//! It is made here, as a `UUIDv7`. One that a client sends is ignored: a client that could
//! choose it could make two requests look like one.

use std::time::Instant;

use rocket::Request;
use tracing::{Span, error_span};
use uuid::Uuid;

/// Target of the line a request, and of the span around its handler.
pub(super) const REQUEST_LOG: &str = "rocket_diesel_sessions::request";

/// What is known of a request from its beginning on.
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) start: Instant,
    pub(super) span: Span,
}

/// The request's own, which is made when it is first asked for.
pub(super) fn known<'r>(request: &'r Request<'_>) -> &'r Known {
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
