//! What a fairing sets up once and every request shares.

use std::marker::PhantomData;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket::data::ByteUnit;

use super::SessionError;
use super::clock::Clock;
use super::config::OnUndecodable;
use super::cookie::CookiePolicy;
use super::expiry::{ExpiryPolicy, is_expired};
use super::keys::SessionKeys;
use super::metrics::Missed;
use super::monitor::Monitor;
use super::pipeline::Pipeline;
use super::token::Token;
use crate::store::{SessionLimit, SessionRecord};

/// Longest user agent that is kept, in characters.
const USER_AGENT_LEN: usize = 512;

pub(crate) struct Core {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) keys: SessionKeys,
    pub(crate) cookie: CookiePolicy,
    pub(crate) expiry: ExpiryPolicy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) max_data_size: ByteUnit,
    pub(crate) on_undecodable: OnUndecodable,
    pub(crate) session_limit: SessionLimit,
}

/// The managed state, which tells the guard that the type of data is the attached one.
pub(crate) struct Attached<D> {
    pub(crate) core: Arc<Core>,
    marker: PhantomData<fn() -> D>,
}

impl<D> Attached<D> {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            marker: PhantomData,
        }
    }
}

/// The request's side of a session: who asks, when, and with which cookies.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) now: DateTime<Utc>,
    /// Whether the request brought a cookie of our name, of whatever worth.
    pub(crate) has_cookie: bool,
    /// The token of the first cookie that verifies.
    pub(crate) token: Option<Token>,
    pub(crate) user_agent: Option<String>,
    pub(crate) ip: Option<String>,
}

/// The first `characters` of a text.
fn cut(text: &str, characters: usize) -> &str {
    if text.len() <= characters {
        return text;
    }
    match text.char_indices().nth(characters) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

impl Core {
    /// Reads what a request brings; no database.
    pub(crate) fn visit(&self, request: &rocket::Request<'_>) -> Visit {
        let headers = request.headers();
        let mut values: Vec<&str> = self.cookie.candidates(headers.get("Cookie")).collect();
        if !headers.contains("Cookie") {
            // Rocket's local client fills the jar and sends no header.
            let cookie = request.cookies().get(self.cookie.name());
            values.extend(cookie.map(rocket::http::Cookie::value));
        }
        let token = values.iter().find_map(|value| self.keys.verify(value));
        if token.is_none() {
            self.monitor.metrics.missed(if values.is_empty() {
                Missed::None
            } else {
                Missed::Forged
            });
        }
        Visit {
            now: self.clock.now(),
            has_cookie: !values.is_empty(),
            token,
            user_agent: headers
                .get_one("User-Agent")
                .map(|agent| cut(agent, USER_AGENT_LEN).to_owned()),
            ip: request.client_ip().map(|ip| ip.to_string()),
        }
    }

    /// The stored session of a verified token, if it may be served.
    pub(crate) async fn find(
        &self,
        token: &Token,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionRecord>, SessionError> {
        let missed = match self.pipeline.load(token.session_id()).await? {
            None => Missed::Gone,
            Some(record) if !record.token_hash.matches(&token.hash()) => Missed::Forged,
            Some(record) if is_expired(&record, now) => Missed::Expired,
            Some(record) => return Ok(Some(record)),
        };
        self.monitor.metrics.missed(missed);
        Ok(None)
    }
}
