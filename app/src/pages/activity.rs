//! A user's recent activity in words.

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::EventRecord;

use crate::accounts::administration::SIGNED_OUT_EVERYWHERE;
use crate::api::activity::Activity;
use crate::words;

/// A line of the list.
pub(super) struct ActivityLine {
    pub(super) icon: &'static str,
    pub(super) what: String,
    pub(super) device: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) at: DateTime<Utc>,
}

/// Events that are read for the lines. Some lines stand for several.
pub(super) const EVENTS: u32 = 1000;

/// The most lines.
const LINES: usize = 10;

/// Puts the newest events in words. Several parts of one act, such as the end of each session, are one
/// line.
pub(super) fn lines(events: &[EventRecord]) -> Vec<ActivityLine> {
    let acts = events.chunk_by(words::event::belong_together).take(LINES);
    // If the newest act fills the list, it has older parts.
    let fills = |act: &[EventRecord]| act.len() == EVENTS as usize;
    acts.filter_map(|act| {
        let number = words::grouped(act.len() as u64);
        let number = match act.len() {
            0 | 1 => None,
            _ if fills(act) => Some(format!("at least {number}")),
            _ => Some(number),
        };
        let event = words::event::act(act)?;
        Some(ActivityLine::of(event.clone().into(), number))
    })
    .collect()
}

impl From<EventRecord> for ActivityLine {
    fn from(event: EventRecord) -> Self {
        Self::of(event.into(), None)
    }
}

impl ActivityLine {
    /// Puts an event in words that happened to one session, or to this number of sessions.
    fn of(activity: Activity, number: Option<String>) -> Self {
        Self {
            icon: icon(&activity),
            what: what(&activity, number.as_deref()),
            device: activity
                .user_agent
                .as_deref()
                .map(|agent| words::name(Some(agent))),
            ip: activity.ip,
            at: activity.at,
        }
    }
}

fn icon(activity: &Activity) -> &'static str {
    match activity.event.as_str() {
        "login" => "sign-in",
        "logout" | "revoked" | "replaced" => "sign-out",
        "new_device" => "shield",
        "password_changed" => "key",
        _ => "clock",
    }
}

fn what(activity: &Activity, number: Option<&str>) -> String {
    let reason = activity.reason.as_deref();
    if let ("revoked", Some(number)) = (activity.event.as_str(), number) {
        return match reason {
            _ if activity.by_administrator => {
                format!("Signed out on {number} devices by an administrator")
            }
            Some("password_changed") => {
                format!("Signed out {number} other devices by the new password")
            }
            _ => format!("Signed out {number} other devices"),
        };
    }
    match (activity.event.as_str(), reason) {
        ("login", Some("reauthentication")) => "Entered the password again",
        ("login", _) => "Signed in",
        ("logout", _) => "Signed out",
        ("revoked", _) if activity.by_administrator => "Signed out by an administrator",
        ("revoked", Some("password_changed")) => "Another device signed out by the new password",
        ("revoked", Some("undelivered")) => "A sign-in did not finish",
        ("revoked", _) => "Signed out another device",
        ("replaced", Some("limit")) => "Oldest device signed out to make room",
        ("replaced", _) => "Signed out by another sign-in",
        ("new_device", _) => "This was a new device",
        ("password_changed", _) => "Changed the password",
        ("user_disabled", _) => "Account disabled by an administrator",
        ("user_enabled", _) => "Account enabled by an administrator",
        ("user_promoted", _) => "Made an administrator",
        ("user_demoted", _) => "No longer an administrator",
        (SIGNED_OUT_EVERYWHERE, _) => "Signed out on all devices by an administrator",
        (event, _) => return event.replace('_', " "),
    }
    .to_owned()
}
