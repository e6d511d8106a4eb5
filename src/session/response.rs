//! The way out: the session cookie in the response, and what happens to a new token if the response
//! cannot carry a cookie.

use rocket::Response;
use rocket::http::{Header, Status};
use rocket::tokio::time::timeout_at;

use super::codec::TypedData;
use super::guard::Inner;
use super::guard::state::CookieChange;
use super::pipeline::Untold;
use crate::store::EndReason;

/// The value of `Retry-After`, in seconds, on responses with status 503.
const RETRY_AFTER: &str = "1";

/// Adds the session's cookie and cache headers to the response. Returns the changes of the token
/// that the response cannot carry, newest first.
pub(super) fn respond<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) -> Vec<Untold> {
    let (shared, context) = (inner.shared(), &inner.context);
    if inner.is_data_missed() {
        refuse_success(response);
    }
    retry_later(response);
    let mut state = inner.state();
    let is_outage = response.status() == Status::ServiceUnavailable;
    let issued = match (&state.cookie, state.record()) {
        // An outage never touches the cookie (I6).
        _ if is_outage => None,
        (CookieChange::Issue(token), Some(record)) => {
            let value = shared.seal.close(token, &record.id, context.now);
            Some(shared.cookie.issue(
                value,
                record.absolute_expires_at,
                context.now,
                record.lifetime.browser_session,
            ))
        }
        (CookieChange::Remove, _) => Some(shared.cookie.removal()),
        _ => None,
    };
    // Responses that depend on the session must not be cached, neither by shared caches nor by the
    // browser (OWASP ASVS 5.0, 14.3.2).
    response.adjoin_header(Header::new("Vary", "Cookie"));
    match issued {
        // Rocket has emptied its cookie jar by now, and its catchers drop the jar's content.
        Some(cookie) => {
            response.adjoin_header(&cookie);
            response.set_raw_header("Cache-Control", "no-store");
        }
        None if !response.headers().contains("Cache-Control") => {
            response.set_raw_header("Cache-Control", "no-store");
        }
        None => {}
    }
    state.answered(!is_outage)
}

/// Ends the sessions that a login has replaced, before the visitor receives the new token. If that
/// fails, the response becomes a 503 and the login is undone.
pub(super) async fn end_replaced<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) {
    if response.status() == Status::ServiceUnavailable {
        return;
    }
    let replaced = std::mem::take(&mut inner.state().replaced);
    for id in replaced {
        let pipeline = &inner.shared().pipeline;
        if let Err(error) = pipeline.delete(id, EndReason::Replaced).await {
            // At level debug, because errors are counted, and in an outage this line would repeat
            // for many requests. The request's own log line has the status.
            tracing::debug!("a session replaced by a login could not be ended: {error}");
            empty(response, Status::ServiceUnavailable);
            return;
        }
    }
}

/// Undoes changes of the token whose response is a 503, which carries no cookie. The old cookie is
/// valid again afterwards.
pub(super) async fn undo<D: TypedData>(inner: &Inner<D>, untold: Vec<Untold>) {
    if untold.is_empty() {
        return;
    }
    // At level debug, because undone changes are counted, and in an outage this line would repeat
    // for many requests.
    tracing::debug!(
        "a new token is withdrawn, because its response became a 503 ({:?})",
        untold
    );
    let deadline = inner.shared().pipeline.undo_deadline();
    for change in untold {
        // The undoing continues after this deadline.
        let _ = timeout_at(deadline.into(), change.undo()).await;
    }
}

/// Replaces a success or redirect by an empty 500, because the data that it relies on was missing.
fn refuse_success(response: &mut Response<'_>) {
    let class = response.status().class();
    if class.is_success() || class.is_redirection() {
        empty(response, Status::InternalServerError);
    }
}

/// Replaces the response by an empty one with this status.
fn empty(response: &mut Response<'_>, status: Status) {
    response.set_status(status);
    response.remove_header("Location");
    response.remove_header("Content-Type");
    response.set_sized_body(0, std::io::Cursor::new(""));
}

/// Adds `Retry-After` to a 503 that lacks it.
pub(super) fn retry_later(response: &mut Response<'_>) {
    if response.status() == Status::ServiceUnavailable
        && !response.headers().contains("Retry-After")
    {
        response.set_raw_header("Retry-After", RETRY_AFTER);
    }
}
