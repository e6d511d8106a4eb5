//! A user's recent activity in words.

use chrono::{DateTime, Utc};

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

impl ActivityLine {
    pub(super) fn of(activity: Activity) -> Self {
        Self {
            icon: icon(&activity),
            what: what(&activity),
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

fn what(activity: &Activity) -> String {
    let reason = activity.reason.as_deref();
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
