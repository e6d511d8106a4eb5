//! The record of events of all users.

use uuid::Uuid;

use super::{MAX_PAGE, SessionAdmin};
use crate::session::error::SessionError;
use crate::store::{EventPage, ListEvents, UserId};

impl SessionAdmin {
    /// Returns one page of the record of events, newest first: those after the cursor `after`, at
    /// most `limit` and at most 10,000. With `user_id`, only those of that user. Events of other
    /// instances come a second later.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn report(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let page = admin.events(100, None, None).await?;
    ///     for event in &page.events {
    ///         println!("{}: {} of {:?}", event.at, event.event, event.user_id);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NoEvents`] if no events are recorded. Fails if the store fails.
    pub async fn events(
        &self,
        limit: u32,
        after: Option<Uuid>,
        user_id: Option<UserId>,
    ) -> Result<EventPage, SessionError> {
        let archive = self.archive.clone().ok_or(SessionError::NoEvents)?;
        let query = ListEvents {
            user_id,
            kind: None,
            after,
            limit: limit.min(MAX_PAGE),
        };
        self.pipeline.call(move || archive.page(query)).await
    }
}
