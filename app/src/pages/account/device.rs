//! The devices on which a user is signed in, as pages show them.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::{SessionHandle, UserSession};

use crate::words::{self, DeviceKind};

/// A device, which is one session of its user.
pub(in crate::pages) struct Device {
    pub(in crate::pages) id: SessionHandle,
    pub(in crate::pages) is_current: bool,
    pub(in crate::pages) name: String,
    pub(in crate::pages) kind: DeviceKind,
    pub(in crate::pages) user_agent: Option<String>,
    pub(in crate::pages) ip: Option<String>,
    pub(in crate::pages) last_seen_at: DateTime<Utc>,
    pub(in crate::pages) created_at: DateTime<Utc>,
}

impl Device {
    pub(in crate::pages) fn of(session: UserSession, current: Option<&SessionHandle>) -> Self {
        let agent = session.user_agent.as_deref();
        Self {
            is_current: Some(&session.id) == current,
            name: words::name(agent),
            kind: DeviceKind::of(agent),
            id: session.id,
            ip: session.ip,
            last_seen_at: session.last_seen_at,
            created_at: session.created_at,
            user_agent: session.user_agent,
        }
    }
}

/// Devices that look the same, the one seen last first.
pub(super) struct DeviceGroup {
    pub(super) devices: Vec<Device>,
}

impl DeviceGroup {
    /// Groups devices by their names, in the order in which they were seen. The current device is
    /// first and has a group of its own.
    pub(super) fn of(mut devices: Vec<Device>) -> Vec<Self> {
        devices.sort_by_key(|device| (!device.is_current, Reverse(device.last_seen_at)));
        let mut groups: Vec<Self> = Vec::new();
        for device in devices {
            let same = groups
                .iter_mut()
                .find(|group| !group.first().is_current && group.first().name == device.name);
            match same {
                Some(group) => group.devices.push(device),
                None => groups.push(Self {
                    devices: vec![device],
                }),
            }
        }
        groups
    }

    /// Returns the device that was seen last. A group is never empty.
    pub(super) fn first(&self) -> &Device {
        &self.devices[0]
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn devices_of_one_name_are_a_group_and_the_current_one_is_first() {
        let now = Utc::now();
        let device = |name: &str, minutes: i64, is_current| Device {
            id: name.into(),
            is_current,
            name: name.to_owned(),
            kind: DeviceKind::Desktop,
            user_agent: None,
            ip: None,
            last_seen_at: now - TimeDelta::minutes(minutes),
            created_at: now,
        };
        let groups = DeviceGroup::of(vec![
            device("curl", 5, false),
            device("Firefox", 1, false),
            device("curl", 3, false),
            device("curl", 9, true),
        ]);
        let shown: Vec<(&str, usize, bool)> = groups
            .iter()
            .map(|group| {
                let first = group.first();
                (first.name.as_str(), group.devices.len(), first.is_current)
            })
            .collect();
        let expected = [("curl", 1, true), ("Firefox", 1, false), ("curl", 2, false)];
        assert_eq!(shown, expected);
        let seen = groups[2].devices.iter().map(|device| device.last_seen_at);
        assert!(seen.is_sorted_by(|a, b| a > b));
    }
}
