//! The sign-ins and live sessions of users, for lists of users.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::StoreAdmin;
use crate::store::error::StoreError;
use crate::store::events::EventStore;
use crate::store::ids::UserId;
use crate::store::sessions::UserPresence;

impl StoreAdmin<'_> {
    /// Returns the live sessions of each of these users in numbers, and when each last signed in: as
    /// recorded in `events`, or as a live session shows it, whichever is later. Users of whom neither
    /// knows anything are omitted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::store::{StoreError, UserPresence};
    ///
    /// fn run(store: &DieselStore) -> Result<Vec<UserPresence>, StoreError> {
    ///     StoreAdmin::new(store).presence(&["ada".into()], chrono::Utc::now(), Some(store))
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if a store fails.
    pub fn presence(
        &self,
        users: &[UserId],
        now: DateTime<Utc>,
        events: Option<&dyn EventStore>,
    ) -> Result<Vec<UserPresence>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.store.presence(users, now)?;
        let logins = match events {
            Some(events) => events.last_logins(users)?,
            None => Vec::new(),
        };
        let mut presence: HashMap<UserId, UserPresence> = live
            .into_iter()
            .map(|live| (live.user_id.clone(), live))
            .collect();
        for (user_id, at) in logins {
            let of_user = presence
                .entry(user_id.clone())
                .or_insert_with(|| UserPresence {
                    user_id,
                    sessions: 0,
                    last_sign_in: None,
                });
            of_user.last_sign_in = of_user.last_sign_in.max(Some(at));
        }
        Ok(presence.into_values().collect())
    }
}
