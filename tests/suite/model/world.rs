//! What the model knows: sessions and their cookies, users, and how deadlines move.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::store::SessionRecord;
use uuid::Uuid;

use super::app::config;
use super::op::CLIENTS;

pub(super) type Time = DateTime<Utc>;

/// What the model follows of a row.
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
            user: record.user_id.clone(),
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
    /// Returns whether it is served. An undone login may leave a later deadline than one who is not
    /// signed in has.
    pub(super) fn is_live(&self, now: Time) -> bool {
        !self.is_expired(now) && now < self.last_seen_at + idle(self.user.is_some())
    }

    /// Returns whether a sweep takes it.
    pub(super) fn is_expired(&self, now: Time) -> bool {
        now >= self.expires_at
    }

    /// What the activity of a request that begins now leaves, if it is due.
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

    /// A session that was made between these times.
    pub(super) fn is_fresh(&self, (from, to): (Time, Time)) -> bool {
        let made = self.last_seen_at;
        (from..=to).contains(&made)
            && self.expires_at == made + idle(self.user.is_some())
            && self.absolute_expires_at == made + minutes(ABSOLUTE)
    }

    pub(super) fn touch_is_due(&self, now: Time) -> bool {
        now - self.last_seen_at >= minutes(5)
    }

    /// Returns whether the deadlines of `self` are those that activity between these times leaves.
    pub(super) fn is_touched_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        (from..=to).contains(&seen)
            && before.touch_is_due(seen)
            && self.has_deadlines_of(&before.touched(seen))
    }

    /// Returns whether the deadlines of `self` are those that a login between these times leaves,
    /// beside other activity.
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

/// All that the model knows.
#[derive(Debug)]
pub(super) struct World {
    /// By public handle.
    pub(super) rows: BTreeMap<String, Row>,
    /// Tokens that are no session's any more.
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
    /// Returns whether the deadlines are those that an undone login between these times may leave.
    pub(super) fn is_unbound_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        (from..=to).contains(&seen)
            && self.expires_at >= before.expires_at
            && self.expires_at <= self.absolute_expires_at.min(seen + idle(true))
            && self.absolute_expires_at == before.absolute_expires_at
    }
}

/// The settings that the model computes with.
#[test]
fn the_model_has_the_settings_of_the_instances() {
    let config = config(false);
    let of = |delta: TimeDelta| delta.to_std().unwrap();
    assert_eq!(config.idle_timeout, of(idle(true)));
    assert_eq!(config.anonymous_idle_timeout, Some(of(idle(false))));
    assert_eq!(config.absolute_timeout, of(minutes(ABSOLUTE)));
    assert_eq!(config.touch_interval, of(minutes(5)));
}
