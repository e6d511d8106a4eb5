//! What all routes share: bodies, errors, headers, paths and the log of requests.

pub(super) mod body;
pub(super) mod error;
pub(super) mod failure;
pub(super) mod headers;
pub(super) mod next;
pub(super) mod paths;
pub(super) mod request_id;
pub(super) mod request_log;
mod texts;
