//! An id for each request. It is in the header `X-Request-Id`, in the bodies of errors, and in the log
//! lines that are written while a handler runs.
//!
//! The id is a `UUIDv7` that is made here. An id that the client sends is ignored, because a client
//! could make two requests look like one.

use std::time::Instant;

use rocket::Request;
use tracing::{Span, error_span};
use uuid::Uuid;

/// The target of the log line of each request and of the span around its handler.
pub(super) const REQUEST_LOG: &str = "rocket_diesel_sessions::request";

/// What is known of a request from its start.
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) start: Instant,
    pub(super) span: Span,
}

/// Returns what is known of a request. The first call sets it.
pub(super) fn known<'r>(request: &'r Request<'_>) -> &'r Known {
    request.local_cache(|| {
        let id = Uuid::now_v7();
        Known {
            id,
            start: Instant::now(),
            // At the highest level, so that no filter removes it from a line that is shown.
            span: error_span!(target: REQUEST_LOG, "request", request_id = %id),
        }
    })
}

/// Returns the id of a request.
pub(crate) fn of(request: &Request<'_>) -> Uuid {
    known(request).id
}
