//! Example sessions for tests.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{NewSession, TokenHash};

/// Returns an anonymous session to insert, created at `now`, truncated to microseconds. Its data is
/// `{}`, its idle deadline is one day away, and its absolute deadline thirty days. No cookie exists
/// for it. Lookup halves of later calls sort after those of earlier ones.
///
/// # Example
///
/// ```
/// use chrono::Utc;
/// use rocket_diesel_sessions::store::{SessionStore, StoreError};
/// use rocket_diesel_sessions::testing::new_session;
///
/// fn finds_what_it_keeps(store: &dyn SessionStore) -> Result<(), StoreError> {
///     let mut new = new_session(Utc::now());
///     new.data = "[1]".to_owned();
///     store.create(std::slice::from_ref(&new))?;
///     assert_eq!(store.find(&new.id)?, Some(new.into_record()));
///     Ok(())
/// }
/// ```
pub fn new_session(now: DateTime<Utc>) -> NewSession {
    let now = now.trunc_subsecs(6);
    let session_id = Uuid::now_v7();
    let hash = TokenHash::of(session_id.as_bytes());
    let mut new = NewSession::new(cuid2::create_id(), session_id, hash, now);
    new.expires_at = now + TimeDelta::days(1);
    new.absolute_expires_at = now + TimeDelta::days(30);
    new
}
