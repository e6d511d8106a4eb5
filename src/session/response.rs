//! What an answer says of the session: the cookie, and what becomes of a new token where there can be
//! no cookie.

use rocket::Response;
use rocket::http::{Header, Status};
use rocket::tokio::time::timeout_at;

use super::codec::TypedData;
use super::guard::Inner;
use super::guard::state::CookieChange;
use super::pipeline::Untold;
use crate::store::EndReason;

/// Seconds after which a client may try again when the store failed.
const RETRY_AFTER: &str = "1";

/// Tells the browser what became of its session; returns the changes of its token that it cannot be
/// told of, newest first.
pub(super) fn respond<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) -> Vec<Untold> {
    let (shared, context) = (inner.shared(), inner.context());
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
            let value = shared.keys.sign(token);
            Some(
                shared
                    .cookie
                    .issue(value, record.absolute_expires_at, context.now),
            )
        }
        (CookieChange::Remove, _) => Some(shared.cookie.removal()),
        _ => None,
    };
    // What depends on the session is not for shared caches, nor for the browser's
    // (OWASP ASVS 5.0, 14.3.2).
    response.adjoin_header(Header::new("Vary", "Cookie"));
    match issued {
        // Rocket has emptied its cookie jar by now, and its catchers drop what is in it.
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

/// Ends the sessions that a login has replaced, before the visitor is told of the new token. If that
/// fails, the answer becomes a 503, and the login is undone.
pub(super) async fn end_replaced<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) {
    if response.status() == Status::ServiceUnavailable {
        return;
    }
    let replaced = std::mem::take(&mut inner.state().replaced);
    for id in replaced {
        let pipeline = &inner.shared().pipeline;
        if let Err(error) = pipeline.delete(id, EndReason::Replaced).await {
            // Counted, and in an outage the same for many: the request's own line has the status.
            tracing::debug!("a session that a login replaces could not be ended: {error}");
            empty(response, Status::ServiceUnavailable);
            return;
        }
    }
}

/// Undoes changes of the token whose answer is a 503, which carries no cookie: the old cookie is good
/// afterwards.
pub(super) async fn undo<D: TypedData>(inner: &Inner<D>, untold: Vec<Untold>) {
    if untold.is_empty() {
        return;
    }
    // Counted when it is done, and in an outage the same for many.
    tracing::debug!(
        "a new token is taken back, because its answer became a 503 ({:?})",
        untold
    );
    let deadline = inner.shared().pipeline.undo_deadline();
    for change in untold {
        // It goes on if this does not wait any longer.
        let _ = timeout_at(deadline.into(), change.undo()).await;
    }
}

/// Empties an answer that says that all went well, because the data it rests on was not there.
fn refuse_success(response: &mut Response<'_>) {
    let class = response.status().class();
    if class.is_success() || class.is_redirection() {
        empty(response, Status::InternalServerError);
    }
}

/// Leaves nothing of an answer but another status.
fn empty(response: &mut Response<'_>, status: Status) {
    response.set_status(status);
    response.remove_header("Location");
    response.remove_header("Content-Type");
    response.set_sized_body(0, std::io::Cursor::new(""));
}

pub(super) fn retry_later(response: &mut Response<'_>) {
    if response.status() == Status::ServiceUnavailable
        && !response.headers().contains("Retry-After")
    {
        response.set_raw_header("Retry-After", RETRY_AFTER);
    }
}
