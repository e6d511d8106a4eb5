//! The model's state: sessions and their cookies, users, and how deadlines move.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::store::SessionRecord;
use uuid::Uuid;

use super::app::config;
use super::op::CLIENTS;

pub(super) type Time = DateTime<Utc>;

/// The part of a row that the model tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) session_id: Uuid,
    pub(super) user: Option<String>,
    pub(super) count: u64,
    pub(super) expires_at: Time,
    absolute_expires_at: Time,
    last_seen_at: Time,
}

impl From<&SessionRecord> for Seen {
    fn from(record: &SessionRecord) -> Self {
        let data: rocket::serde::json::Value =
            rocket::serde::json::from_str(&record.data).expect("JSON");
        Self {
            session_id: record.session_id,
            user: record.user_id.clone().map(Into::into),
            count: data["count"].as_u64().expect("a count"),
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
            last_seen_at: record.last_seen_at,
        }
    }
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

fn idle(is_signed_in: bool) -> TimeDelta {
    minutes(if is_signed_in { 60 } else { 30 })
}

const ABSOLUTE: i64 = 180;

impl Seen {
    /// Returns whether the session is served. An undone login may leave a later deadline than an
    /// anonymous session would have.
    pub(super) fn is_live(&self, now: Time) -> bool {
        !self.is_expired(now) && now < self.last_seen_at + idle(self.user.is_some())
    }

    /// Returns whether a sweep deletes the session.
    pub(super) fn is_expired(&self, now: Time) -> bool {
        now >= self.expires_at
    }

    /// Returns the state after the touch of a request at this time, if one is due.
    pub(super) fn touched(&self, now: Time) -> Self {
        if !self.touch_is_due(now) {
            return self.clone();
        }
        let deadline = (now + idle(self.user.is_some())).min(self.absolute_expires_at);
        Self {
            expires_at: self.expires_at.max(deadline),
            last_seen_at: now,
            ..self.clone()
        }
    }

    /// Returns whether the session was created between these times.
    pub(super) fn is_fresh(&self, (from, to): (Time, Time)) -> bool {
        let made = self.last_seen_at;
        (from..=to).contains(&made)
            && self.expires_at == made + idle(self.user.is_some())
            && self.absolute_expires_at == made + minutes(ABSOLUTE)
    }

    pub(super) fn touch_is_due(&self, now: Time) -> bool {
        now - self.last_seen_at >= minutes(5)
    }

    /// Returns whether the deadlines of `self` result from activity between these times.
    pub(super) fn is_touched_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        (from..=to).contains(&seen)
            && before.touch_is_due(seen)
            && self.has_deadlines_of(&before.touched(seen))
    }

    /// Returns whether the deadlines of `self` result from a login between these times, and
    /// possibly other activity.
    pub(super) fn is_bound_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let absolute = |now| before.absolute_expires_at.max(now + minutes(ABSOLUTE));
        let end = self.absolute_expires_at;
        let deadline = |now: Time| before.expires_at.max((now + idle(true)).min(end));
        (from..=to).contains(&self.last_seen_at)
            && (deadline(from)..=deadline(to)).contains(&self.expires_at)
            && (absolute(from)..=absolute(to)).contains(&end)
    }

    pub(super) fn has_deadlines_of(&self, before: &Self) -> bool {
        self.expires_at == before.expires_at
            && self.absolute_expires_at == before.absolute_expires_at
            && self.last_seen_at == before.last_seen_at
    }
}

/// A session that the model knows.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cookie: String,
    pub(super) seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Disabled,
    Deleted,
}

/// The model's whole state.
#[derive(Debug)]
pub(super) struct World {
    /// The sessions by handle.
    pub(super) rows: BTreeMap<String, Row>,
    /// Tokens that no longer belong to a session.
    pub(super) dead: Vec<(String, Uuid)>,
    pub(super) jars: [Option<String>; CLIENTS],
    pub(super) users: [Standing; 2],
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            dead: Vec::new(),
            jars: [const { None }; CLIENTS],
            users: [Standing::Active; 2],
        }
    }

    pub(super) fn by_cookie(&self, cookie: Option<&str>) -> Option<(String, Row)> {
        let (id, row) = self
            .rows
            .iter()
            .find(|(_, row)| Some(row.cookie.as_str()) == cookie)?;
        Some((id.clone(), row.clone()))
    }

    pub(super) fn knows(&self, cookie: &str) -> bool {
        self.rows.values().any(|row| row.cookie == cookie)
            || self.dead.iter().any(|(dead, _)| dead == cookie)
    }
}

impl Seen {
    /// Returns whether the deadlines may result from an undone login between these times.
    pub(super) fn is_unbound_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        (from..=to).contains(&seen)
            && self.expires_at >= before.expires_at
            && self.expires_at <= self.absolute_expires_at.min(seen + idle(true))
            && self.absolute_expires_at == before.absolute_expires_at
    }
}

/// Checks that the model computes with the settings of the instances.
#[test]
fn the_model_has_the_settings_of_the_instances() {
    let config = config(false);
    let of = |delta: TimeDelta| delta.to_std().unwrap();
    assert_eq!(config.idle_timeout, of(idle(true)));
    assert_eq!(config.anonymous_idle_timeout, Some(of(idle(false))));
    assert_eq!(config.absolute_timeout, of(minutes(ABSOLUTE)));
    assert_eq!(config.touch_interval, of(minutes(5)));
}

/// Returns a cookie like `good` that no server issued.
pub(super) fn forge(good: &str, how: usize) -> String {
    let (name, value) = good.split_once('=').expect("a cookie");
    let at = how % value.len();
    let replaced = if value.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    format!("{name}={}{replaced}{}", &value[..at], &value[at + 1..])
}
