//! A session in words.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionError, SessionHandle, UserId};

use crate::accounts::users::Users;
use crate::pages::admin::viewer::AdminViewer;
use crate::words::{self, DeviceKind};

/// How many characters of a handle the list shows.
const SHORT: usize = 8;

/// A session in words.
pub(super) struct Item {
    pub(super) record: SessionRecord,
    pub(super) username: Option<String>,
    pub(super) device: String,
    /// The icon of the device.
    pub(super) icon: &'static str,
    pub(super) is_expired: bool,
    /// Whether it is the visitor's own session.
    pub(super) is_own: bool,
}

impl Item {
    fn of(
        record: SessionRecord,
        own: Option<&SessionHandle>,
        names: &HashMap<UserId, String>,
        now: DateTime<Utc>,
    ) -> Self {
        let user = record.user_id.as_ref();
        Self {
            username: user.and_then(|id| names.get(id).cloned()),
            device: words::name(record.user_agent.as_deref()),
            icon: DeviceKind::of(record.user_agent.as_deref()).icon(),
            is_expired: record.expires_at <= now,
            is_own: own == Some(&record.id),
            record,
        }
    }

    /// The beginning of the handle, enough for people to tell sessions apart.
    pub(super) fn short_id(&self) -> String {
        let mut characters = self.record.id.as_str().chars();
        let short: String = characters.by_ref().take(SHORT).collect();
        if characters.next().is_some() {
            format!("{short}…")
        } else {
            short
        }
    }

    pub(super) fn user_id(&self) -> &str {
        self.record.user_id.as_ref().map_or("", UserId::as_str)
    }

    /// The user's name, or the id if the user has just been deleted.
    pub(super) fn user(&self) -> Option<&str> {
        let id = self.record.user_id.as_ref().map(UserId::as_str);
        self.username.as_deref().or(id)
    }

    /// The session in a line, as in "Chrome on Linux of ada, 203.0.113.7".
    pub(super) fn line(&self) -> String {
        let user = self.user().map_or("an anonymous visitor", |user| user);
        let ip = self.record.ip.as_deref();
        let ip = ip.map_or_else(String::new, |ip| format!(", {ip}"));
        let own = if self.is_own { " (this device)" } else { "" };
        format!("{} of {user}{ip}{own}", self.device)
    }
}

pub(super) async fn items(
    visitor: &AdminViewer,
    users: &Users,
    records: Vec<SessionRecord>,
) -> Result<Vec<Item>, SessionError> {
    let ids: HashSet<UserId> = records
        .iter()
        .filter_map(|record| record.user_id.clone())
        .collect();
    let names = users.names(ids).await?;
    let (own, now) = (visitor.handle(), users.now());
    Ok(records
        .into_iter()
        .map(|record| Item::of(record, own.as_ref(), &names, now))
        .collect())
}
