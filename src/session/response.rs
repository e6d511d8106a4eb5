//! The way out: the session cookie in the response, and what happens to a new token that neither a
//! cookie nor the handler delivers.

use std::time::Instant;

use rocket::http::{Header, Status};
use rocket::tokio::time::timeout_at;
use rocket::{Request, Response};

use super::codec::TypedData;
use super::error::SessionError;
use super::guard::Inner;
use super::guard::state::{Carrier, CookieChange, State};
use super::observe::seldom::Seldom;
use super::pipeline::Untold;
use crate::store::EndReason;

/// The value of `Retry-After`, in seconds, on responses with status 503.
const RETRY_AFTER: &str = "1";

/// The header that tells browsers what to forget.
pub(super) const CLEAR_SITE_DATA: &str = "Clear-Site-Data";

/// Returns whether a new token leaves in a cookie. Otherwise the handler has to pass it on.
fn is_sent_by_cookie<D>(inner: &Inner<D>, state: &State<D>) -> bool {
    inner.shared().transport.takes_cookies()
        && !inner.context.is_bearer
        && state.carrier == Carrier::Request
}

/// Replaces a success or redirect by an empty 500 if the handler got `D::default()` instead of the
/// visitor's data.
pub(super) fn refuse_missed<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) {
    if inner.is_data_missed() {
        refuse_success(response);
    }
}

/// Withholds a new token that no client gets, because it may not leave in a cookie and the handler
/// has not taken it, or has taken it and failed. A success that relies on it is replaced by an empty
/// 500.
pub(super) fn withhold<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) {
    static WARNED: Seldom = Seldom::new();
    let class = response.status().class();
    let is_relied_on = {
        let mut state = inner.state();
        if is_sent_by_cookie(inner, &state) || response.status() == Status::ServiceUnavailable {
            return;
        }
        // The body of a 5xx is hardly the handler's, but that of a catcher.
        match state.withhold(class.is_server_error()) {
            Some(is_relied_on) => is_relied_on,
            None => return,
        }
    };
    // A handler that has refused the request may have had no use for the token.
    if (class.is_success() || class.is_redirection()) && WARNED.is_due(Instant::now()) {
        tracing::warn!(
            "a new session token is withdrawn: this request cannot be answered with a cookie, and \
             its handler did not pass the token on (see Session::token_once)"
        );
    }
    if is_relied_on {
        refuse_success(response);
    }
}

/// Adds the session's cookie and cache headers to the response. Returns the changes of the token
/// that the response cannot carry, newest first.
pub(super) fn respond<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) -> Vec<Untold> {
    let (shared, context) = (inner.shared(), &inner.context);
    retry_later(response);
    let mut state = inner.state();
    let is_outage = response.status() == Status::ServiceUnavailable;
    let issued = match (&state.cookie, state.record()) {
        // An outage never touches the cookie (I6).
        _ if is_outage => None,
        (CookieChange::Issue(token), Some(record)) if is_sent_by_cookie(inner, &state) => {
            let value = shared.seal.close(token, &record.id, context.now);
            Some(shared.cookie.issue(
                value,
                record.absolute_expires_at,
                context.now,
                record.lifetime.browser_session,
            ))
        }
        (CookieChange::Remove, _) if context.has_cookie => Some(shared.cookie.removal()),
        _ => None,
    };
    // Rocket has emptied its cookie jar by now, and its catchers drop the jar's content.
    if let Some(cookie) = &issued {
        response.adjoin_header(cookie);
    }
    if issued.is_some()
        && let Some(devices) = &shared.devices
        && let Some(user) = state.record().and_then(|record| record.user_id.as_ref())
        && let Some(cookie) = devices.renewed(context.device.as_deref(), user, context.now)
    {
        response.adjoin_header(&cookie);
    }
    forbid_caching(
        inner,
        response,
        issued.is_some() || state.carrier == Carrier::Handler,
    );
    let is_lost = match &state.cookie {
        CookieChange::Issue(_) => !is_sent_by_cookie(inner, &state),
        CookieChange::Withheld => true,
        CookieChange::Keep | CookieChange::HandedOut | CookieChange::Remove => false,
    };
    state.answered(!is_outage && !is_lost)
}

/// Tells the browser what to forget after a logout. Several kinds of session may each have their own
/// list, and headers of the same name are one list (RFC 9110, section 5.3).
pub(super) fn clear_site_data<D>(inner: &Inner<D>, response: &mut Response<'_>) {
    let is_logout = matches!(inner.state().cookie, CookieChange::Remove);
    if !is_logout || response.status() == Status::ServiceUnavailable {
        return;
    }
    let headers = response.headers();
    if let Some(data) = &inner.shared().clear_site_data
        && headers.get(CLEAR_SITE_DATA).all(|other| other != data)
    {
        response.adjoin_header(Header::new(CLEAR_SITE_DATA, data.clone()));
    }
}

/// Keeps a response that depends on the session out of caches, both shared ones and the browser's
/// (OWASP ASVS 5.0, 14.3.2). The application may allow caching unless the response has a token.
fn forbid_caching<D>(inner: &Inner<D>, response: &mut Response<'_>, has_token: bool) {
    let transport = inner.shared().transport;
    if transport.takes_cookies() {
        response.adjoin_header(Header::new("Vary", "Cookie"));
    }
    if transport.takes_bearer() {
        response.adjoin_header(Header::new("Vary", "Authorization"));
    }
    if has_token || !response.headers().contains("Cache-Control") {
        response.set_raw_header("Cache-Control", "no-store");
    }
}

/// Adds the challenge for bearer tokens to the 401 of the guard `SignedIn` (RFC 6750, section 3),
/// unless the application's catcher has added one.
pub(super) fn challenge<D>(request: &Request<'_>, inner: &Inner<D>, response: &mut Response<'_>) {
    if !inner.shared().transport.takes_bearer()
        || response.status() != Status::Unauthorized
        || response.headers().contains("WWW-Authenticate")
        || SessionError::of(request) != Some(SessionError::SignedOut)
    {
        return;
    }
    let is_invalid = inner.context.is_bearer && inner.state().record().is_none();
    let challenge = if is_invalid {
        "Bearer error=\"invalid_token\""
    } else {
        "Bearer"
    };
    response.set_raw_header("WWW-Authenticate", challenge);
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
        if let Err(error) = pipeline
            .delete(id, EndReason::Replaced, inner.facts())
            .await
        {
            // At level debug, because errors are counted, and in an outage this line would repeat
            // for many requests. The request's own log line has the status.
            tracing::debug!("a session replaced by a login could not be ended: {error}");
            empty(response, Status::ServiceUnavailable);
            return;
        }
    }
}

/// Undoes changes of the token that the response does not deliver, such as a 503. The old cookie or
/// bearer token is valid again afterwards.
pub(super) async fn undo<D: TypedData>(inner: &Inner<D>, untold: Vec<Untold>) {
    if untold.is_empty() {
        return;
    }
    // At level debug, because undone changes are counted, and in an outage this line would repeat
    // for many requests.
    tracing::debug!(
        "a new token is withdrawn, because its response does not deliver it ({:?})",
        untold
    );
    let deadline = inner.shared().pipeline.undo_deadline();
    for change in untold {
        // The undoing continues after this deadline.
        let _ = timeout_at(deadline.into(), change.undo()).await;
    }
}

/// Replaces a success or redirect by an empty 500, because what it relies on is not the case.
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
