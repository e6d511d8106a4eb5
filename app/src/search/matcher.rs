//! Whether a session is one of those searched for.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionHandle, UserId};
use uuid::Uuid;

use super::filter::Filter;
use crate::words;

/// What is asked of each session that a walk meets.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// A part of what lists show of a session.
    text: Option<String>,
    /// The text as a lookup id or an address, if it is one.
    lookup_id: Option<Uuid>,
    text_ip: Option<IpAddr>,
    /// Sessions that have been found.
    except: HashSet<SessionHandle>,
    /// A part of the device's name.
    device: Option<String>,
    ip: Option<IpAddr>,
    filters: Vec<Filter>,
    /// The names of the devices with these user agents, because few devices send most requests.
    devices: HashMap<Option<String>, String>,
}

impl Matcher {
    /// Makes one that admits all sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits only sessions of which lists show this text: the beginning of the handle or of the
    /// address, a part of the device or of the user's name, or the whole lookup id or id of the user.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let text = text.trim().trim_end_matches('…');
        self.lookup_id = Uuid::try_parse(text).ok();
        self.text_ip = text.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        self.text = Some(text.to_lowercase());
        self
    }

    /// Returns the beginning of a handle, if the text may be one that is long enough for an index to find
    /// few sessions.
    pub fn handle_prefix(text: &str) -> Option<&str> {
        let text = text.trim_end_matches('…');
        let is_of_handle = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (text.len() >= 4 && text.bytes().all(is_of_handle)).then_some(text)
    }

    /// Does not admit this session from now on.
    pub(super) fn except(&mut self, handle: SessionHandle) {
        self.except.insert(handle);
    }

    /// Admits only sessions that were last used from this address.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.ip = Some(ip.to_canonical());
        self
    }

    /// Admits only sessions of devices whose names contain this text.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        self.device = Some(device.to_lowercase());
        self
    }

    /// Admits only sessions that the filter keeps.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Returns whether all sessions are admitted.
    pub fn admits_all(&self) -> bool {
        self.text.is_none() && self.device.is_none() && self.ip.is_none() && self.filters.is_empty()
    }

    /// Returns whether the names of users are needed.
    pub fn needs_names(&self) -> bool {
        self.text.is_some()
    }

    /// Returns the moment after which no session of the order of deadlines is admitted.
    pub(super) fn end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.filters
            .iter()
            .filter_map(|filter| filter.end(now))
            .min()
    }

    /// Returns whether a session is admitted.
    pub(super) fn admits(
        &mut self,
        session: &SessionRecord,
        names: &HashMap<UserId, String>,
        now: DateTime<Utc>,
    ) -> bool {
        if self.except.contains(&session.id)
            || !self.filters.iter().all(|filter| filter.keeps(session, now))
        {
            return false;
        }
        let is_there = |ip: IpAddr| {
            let of = session
                .ip
                .as_deref()
                .and_then(|of| of.parse::<IpAddr>().ok());
            of.is_some_and(|of| of.to_canonical() == ip)
        };
        if !self.ip.is_none_or(is_there) {
            return false;
        }
        if self.text.is_none() && self.device.is_none() {
            return true;
        }
        let agent = session.user_agent.clone();
        let device = self
            .devices
            .entry(agent)
            .or_insert_with_key(|agent| words::name(agent.as_deref()).to_lowercase());
        if self
            .device
            .as_ref()
            .is_some_and(|part| !device.contains(part.as_str()))
        {
            return false;
        }
        let Some(text) = &self.text else {
            return true;
        };
        let id = session.user_id.as_ref();
        let user = match id {
            Some(id) => names.get(id).map_or(id.as_str(), String::as_str),
            None => "anonymous",
        };
        session.id.as_str().starts_with(text.as_str())
            || session.ip.as_deref().is_some_and(|ip| begins(ip, text))
            || device.contains(text.as_str())
            || user.contains(text.as_str())
            || id.is_some_and(|id| id.as_str().eq_ignore_ascii_case(text))
            || self.lookup_id == Some(session.session_id)
            || self.text_ip.is_some_and(is_there)
    }
}

/// Returns whether an address begins with the text, as it is stored or as IPv4.
fn begins(ip: &str, text: &str) -> bool {
    let mapped = ip.strip_prefix("::ffff:");
    ip.starts_with(text) || mapped.is_some_and(|ip| ip.starts_with(text))
}
