//! Sessions that tests put into a store.

use chrono::{TimeDelta, Utc};
use rocket_diesel_sessions::store::{NewSession, SessionStore};
use rocket_diesel_sessions::testing;

/// Returns a session for `user_id` that lives one day.
pub(crate) fn new_session(user_id: Option<&str>) -> NewSession {
    let mut new = testing::new_session(Utc::now());
    new.user_id = user_id.map(Into::into);
    new
}

/// Creates `count` sessions that expired yesterday.
pub(crate) fn create_expired(store: &dyn SessionStore, count: usize) {
    for _ in 0..count / 1000 {
        let expired: Vec<_> = (0..1000)
            .map(|_| {
                let mut new = new_session(None);
                new.expires_at -= TimeDelta::days(2);
                new
            })
            .collect();
        store.create(&expired).unwrap();
    }
}

/// Creates `count` live sessions.
pub(crate) fn create_live(store: &dyn SessionStore, count: usize) {
    for _ in 0..count / 1000 {
        let live: Vec<_> = (0..1000).map(|_| new_session(None)).collect();
        store.create(&live).unwrap();
    }
}
