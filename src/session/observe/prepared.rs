//! [`PreparedEvent`]: an event that is stored with what it reports.

use std::fmt;
use std::sync::Arc;

use super::events::SessionEvent;
use super::monitor::Monitor;
use crate::store::EventRecord;

/// An event that is yet to be reported. A change that stores it in its own transaction cannot be made
/// without it. See [`SessionAdmin::prepare_user_event`](crate::SessionAdmin::prepare_user_event).
#[must_use = "an event that is not reported reaches no one"]
pub struct PreparedEvent {
    monitor: Arc<Monitor>,
    event: SessionEvent,
}

impl PreparedEvent {
    pub(super) fn new(monitor: Arc<Monitor>, event: SessionEvent) -> Self {
        Self { monitor, event }
    }

    /// Returns the event to be stored with the change that it reports, such as
    /// [`UserChange::event`](crate::store::UserChange::event), or `None` if no events are recorded.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, UserId};
    /// use rocket_diesel_sessions::store::{UserAction, UserChange};
    ///
    /// fn disabling(admin: &SessionAdmin, id: UserId, now: chrono::DateTime<chrono::Utc>) -> UserChange {
    ///     let event = admin.prepare_user_event("user_disabled", &id);
    ///     let mut change = UserChange::new(id, UserAction::Disable, now);
    ///     change.event = event.to_record();
    ///     change
    /// }
    /// ```
    pub fn to_record(&self) -> Option<EventRecord> {
        let keeps = self.monitor.log.is_some();
        keeps.then(|| self.event.to_record())
    }

    /// Reports the event to the functions of [`Sessions::on_event`](crate::Sessions::on_event), to the
    /// webhook and to the record of events, when what it says is committed. One that is stored already
    /// is not stored twice.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, UserId};
    ///
    /// fn was_disabled(admin: &SessionAdmin, user_id: &UserId) {
    ///     admin.prepare_user_event("user_disabled", user_id).report();
    /// }
    /// ```
    pub fn report(self) {
        self.monitor.report(&self.event);
    }
}

impl fmt::Debug for PreparedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreparedEvent").field(&self.event).finish()
    }
}
