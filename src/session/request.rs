//! The way in: from a request's cookies, or its bearer token, to its live session.

pub(super) mod address;
pub(super) mod bearer;
pub(super) mod failure;
pub(super) mod slot;

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket::futures::future::join_all;

use self::address::visitor_address;
use self::bearer::{Presented, presented};
use super::cookie::seal::Opened;
use super::error::SessionError;
use super::expiry::is_expired;
use super::fairing::shared::Shared;
use super::observe::context::{EventContext, request_id};
use super::observe::metrics::NoSession;
use crate::store::{SessionHandle, SessionRecord};

/// Maximum number of verified tokens per request that are looked up. Browsers send only a few.
const MAX_TOKENS: usize = 16;

/// Maximum length of a stored user agent, in characters.
const USER_AGENT_LEN: usize = 512;

/// What a request contributes to its session: the time, the visitor and the tokens.
#[derive(Debug)]
pub(crate) struct RequestContext {
    /// The time at which the session was looked up.
    pub(crate) now: DateTime<Utc>,
    /// Whether the request had a cookie with the session cookie's name, valid or not, that counts.
    pub(crate) has_cookie: bool,
    /// Whether the request presented a bearer token, valid or not. Its cookies do not count.
    pub(crate) is_bearer: bool,
    /// The distinct tokens that verify. Almost always one.
    pub(crate) tokens: Vec<Opened>,
    pub(crate) user_agent: Option<String>,
    pub(crate) ip: Option<String>,
    /// The request's id, if the application gives it one.
    pub(crate) request_id: Option<String>,
    /// The cookie of known devices, if it verifies and is asked for.
    pub(crate) device: Option<String>,
}

impl RequestContext {
    /// Returns the context of the request's events.
    pub(crate) fn of_event(&self) -> EventContext {
        EventContext {
            ip: self.ip.clone(),
            user_agent: self.user_agent.clone(),
            request_id: self.request_id.clone(),
            ..EventContext::default()
        }
    }
}

/// Returns the request's user agent, as it is stored.
pub(super) fn user_agent(request: &rocket::Request<'_>) -> Option<String> {
    let agent = request.headers().get_one("User-Agent")?;
    Some(cut(agent, USER_AGENT_LEN).to_owned())
}

/// Returns the first `characters` characters of a text.
fn cut(text: &str, characters: usize) -> &str {
    if text.len() <= characters {
        return text;
    }
    match text.char_indices().nth(characters) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The sessions that the tokens of a request lead to.
#[derive(Default)]
pub(crate) struct Found {
    /// Sessions that may be served.
    pub(crate) live: Vec<Arc<SessionRecord>>,
    /// Handles of sessions that have expired from this instance's point of view. A logout ends them
    /// too, because another instance may have a touch for them on its way to the database.
    pub(crate) expired: Vec<SessionHandle>,
}

impl Shared {
    /// Finds the live sessions of a request by its tokens.
    pub(super) async fn open(
        &self,
        request: &rocket::Request<'_>,
    ) -> Result<(RequestContext, Found), SessionError> {
        let mut context = self.context(request);
        let found = self.find(&mut context).await?;
        Ok((context, found))
    }

    /// Returns the values of the request's session cookies.
    fn cookies<'r>(&self, request: &'r rocket::Request<'_>) -> Vec<&'r str> {
        let headers = request.headers();
        let mut values: Vec<&str> = self.cookie.candidates(headers.get("Cookie")).collect();
        if !headers.contains("Cookie") {
            // Rocket's local client fills the jar and sends no header.
            let cookie = request.cookies().get(self.cookie.name());
            values.extend(cookie.map(rocket::http::Cookie::value));
        }
        values
    }

    /// Returns the value of the request's cookie of known devices.
    fn device(&self, request: &rocket::Request<'_>) -> Option<String> {
        let devices = self.devices.as_ref()?;
        devices
            .value(request.headers().get("Cookie"))
            .map(str::to_owned)
    }

    /// Reads the request's tokens, user agent and address, without access to the database.
    ///
    /// A bearer token is never combined with cookies, not even if it is invalid: a client that names
    /// a session must not act in another one, and cookies need protection from other sites.
    fn context(&self, request: &rocket::Request<'_>) -> RequestContext {
        let headers = request.headers();
        let presented = if self.transport.takes_bearer() {
            presented(headers)
        } else {
            Presented::None
        };
        let is_bearer = presented != Presented::None;
        let has_cookies = !is_bearer && self.transport.takes_cookies();
        let values = match presented {
            Presented::Token(token) => vec![token],
            _ if has_cookies => self.cookies(request),
            _ => Vec::new(),
        };
        let seal = if is_bearer {
            &self.bearer_seal
        } else {
            &self.seal
        };
        let mut tokens: Vec<Opened> = Vec::new();
        for token in values.iter().filter_map(|value| seal.open(value)) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        // Browsers send fewer. Keep the newest.
        if tokens.len() > MAX_TOKENS {
            tokens.sort_by_key(|opened| Reverse(opened.token.session_id()));
            tokens.truncate(MAX_TOKENS);
        }
        if tokens.is_empty() {
            self.monitor
                .metrics
                .missed(if is_bearer || !values.is_empty() {
                    NoSession::Forged
                } else {
                    NoSession::None
                });
        }
        RequestContext {
            now: self.clock.now(),
            has_cookie: has_cookies && !values.is_empty(),
            is_bearer,
            tokens,
            user_agent: user_agent(request),
            ip: visitor_address(request).map(|ip| ip.to_string()),
            request_id: request_id(request),
            device: self.device(request).filter(|_| has_cookies),
        }
    }

    /// Loads the sessions of the request's tokens. The one with the newest token comes first.
    ///
    /// A browser sends several tokens after the cookie's path or domain was changed, or if another
    /// host of the domain has set one. A dead one must not hide the live one.
    async fn find(&self, context: &mut RequestContext) -> Result<Found, SessionError> {
        let load = |opened: &Opened| self.pipeline.load(opened.key());
        let loaded = match context.tokens.as_slice() {
            [] => return Ok(Found::default()),
            [token] => vec![load(token).await],
            tokens => join_all(tokens.iter().map(load)).await,
        };
        // A deadline may have passed during the load.
        context.now = self.clock.now();
        let (mut found, mut missed, mut failed) = (Found::default(), None, None);
        for (token, loaded) in context.tokens.iter().zip(loaded) {
            match loaded.map(|record| self.judge(token, record)) {
                Ok(Ok(record)) if is_expired(&record, context.now) => {
                    missed = missed.or(Some(NoSession::Expired));
                    found.expired.push(record.id.clone());
                }
                Ok(Ok(record)) => found.live.push(record),
                Ok(Err(reason)) => missed = missed.or(Some(reason)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match (failed, missed) {
            _ if !found.live.is_empty() => {}
            (Some(error), _) => return Err(error),
            (None, Some(reason)) => self.monitor.metrics.missed(reason),
            (None, None) => {}
        }
        let newest_first = |record: &Arc<SessionRecord>| Reverse(record.session_id);
        found.live.sort_by_key(newest_first);
        Ok(found)
    }

    /// Returns the row with its effective deadlines if `token` belongs to it.
    pub(super) fn judge(
        &self,
        opened: &Opened,
        record: Option<Arc<SessionRecord>>,
    ) -> Result<Arc<SessionRecord>, NoSession> {
        let mut record = record.ok_or(NoSession::Gone)?;
        let is_of_cookie = |handle: &SessionHandle| *handle == record.id;
        if !record.token_hash.matches(&opened.token.hash())
            || !opened.handle.as_ref().is_none_or(is_of_cookie)
            || record.kind != self.kind
        {
            return Err(NoSession::Forged);
        }
        self.expiry.apply(&mut record);
        Ok(record)
    }
}
