//! One page of a list.

use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::record::SessionRecord;
use crate::store::request::ListSessions;

/// One page of a list of sessions.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SessionPage {
    /// Live sessions, newest token first.
    pub sessions: Vec<SessionRecord>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Uuid>,
}

impl SessionPage {
    /// Creates a page of a list that the application has read itself.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::SessionPage;
    ///
    /// let page = SessionPage::new(Vec::new(), None);
    /// assert!(page.sessions.is_empty());
    /// ```
    pub const fn new(sessions: Vec<SessionRecord>, next: Option<Uuid>) -> Self {
        Self { sessions, next }
    }

    /// Reads a page of at most `query.limit` sessions with `list`, for example
    /// [`DieselStore::list_filtered`](crate::DieselStore::list_filtered) with a filter. `list` is
    /// called with a limit of one more, to detect a next page.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::admin::SessionPage;
    /// use rocket_diesel_sessions::store::{ListSessions, SessionFilter, StoreError};
    ///
    /// fn anonymous(store: &DieselStore) -> Result<SessionPage, StoreError> {
    ///     let mut filter = SessionFilter::default();
    ///     filter.anonymous = true;
    ///     let query = ListSessions::new(chrono::Utc::now(), 100);
    ///     SessionPage::read(&query, |query| store.list_filtered(query, &filter))
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if `list` does.
    pub fn read(
        query: &ListSessions,
        list: impl FnOnce(&ListSessions) -> Result<Vec<SessionRecord>, StoreError>,
    ) -> Result<Self, StoreError> {
        let limit = query.limit as usize;
        let mut sessions = list(&ListSessions {
            limit: query.limit.saturating_add(1),
            ..query.clone()
        })?;
        let has_more = sessions.len() > limit;
        sessions.truncate(limit);
        let cursor = |end: &SessionRecord| end.session_id;
        let next = sessions.last().filter(|_| has_more).map(cursor);
        Ok(Self::new(sessions, next))
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::testing::new_session;

    #[test]
    fn a_page_has_a_next_one_only_if_there_are_more_sessions() {
        let all: Vec<_> = (0..3)
            .map(|_| new_session(Utc::now()).into_record())
            .collect();
        let page = |limit| {
            let query = ListSessions {
                now: Utc::now(),
                after: None,
                user_id: None,
                kind: None,
                limit,
            };
            let list = |query: &ListSessions| {
                let listed = all.iter().take(query.limit as usize);
                Ok(listed.cloned().collect())
            };
            let page = SessionPage::read(&query, list).unwrap();
            (page.sessions.len(), page.next)
        };
        assert_eq!(page(2), (2, Some(all[1].session_id)));
        assert_eq!(page(3), (3, None));
        assert_eq!(page(u32::MAX), (3, None));
        assert_eq!(page(0), (0, None));
    }
}
