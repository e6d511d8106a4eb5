//! Sessions that tests put into a store.

use chrono::{SubsecRound, TimeDelta, Utc};
use rocket_diesel_sessions::store::{NewSession, SessionStore, TokenHash};
use uuid::Uuid;

/// A session of a day, for `user_id`.
pub(crate) fn new_session(user_id: Option<&str>) -> NewSession {
    let now = Utc::now().trunc_subsecs(6);
    let session_id = Uuid::now_v7();
    NewSession {
        id: cuid2::create_id(),
        session_id,
        token_hash: TokenHash::of(session_id.as_bytes()),
        user_id: user_id.map(str::to_owned),
        data: "{}".to_owned(),
        expires_at: now + TimeDelta::days(1),
        absolute_expires_at: now + TimeDelta::days(30),
        user_agent: None,
        ip: None,
        now,
    }
}

/// Makes `count` sessions that expired yesterday.
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

/// Makes `count` sessions that live.
pub(crate) fn create_live(store: &dyn SessionStore, count: usize) {
    for _ in 0..count / 1000 {
        let live: Vec<_> = (0..1000).map(|_| new_session(None)).collect();
        store.create(&live).unwrap();
    }
}
