//! What requests do to a row, for stores that leave these rules to the library.

use super::{ListSessions, RotateSession, SaveSession, TouchSession};
use crate::store::ids::SessionHandle;
use crate::store::record::SessionRecord;

impl SaveSession {
    /// Returns the session with the new data, for a store to write. Returns `None` if the save is
    /// refused, because the session has another token or version, or has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SaveSession;
    /// # use rocket_diesel_sessions::store::{NewSession, TokenHash};
    /// # let (now, hash) = (chrono::Utc::now(), TokenHash::of(b"the secret half"));
    /// # let mut new = NewSession::new("handle", uuid::Uuid::now_v7(), hash, now);
    /// # new.expires_at += chrono::TimeDelta::days(1);
    /// # let stored = new.into_record();
    ///
    /// let save = SaveSession::new(stored.session_id, 0, "[1]", now);
    /// let saved = save.saved(stored).unwrap();
    /// assert_eq!((saved.data.as_str(), saved.version), ("[1]", 1));
    /// assert!(save.saved(saved).is_none(), "it has another version now");
    /// ```
    pub fn saved(&self, stored: SessionRecord) -> Option<SessionRecord> {
        let is_meant = stored.session_id == self.session_id
            && is_of(self.id.as_ref(), &stored)
            && stored.version == self.version
            && stored.expires_at > self.now;
        is_meant.then(|| SessionRecord {
            data: self.data.clone(),
            version: self.version + 1,
            updated_at: self.now,
            ..stored
        })
    }
}

impl TouchSession {
    /// Returns the session with the activity, for a store to write. Returns `None` if the session
    /// has another token or has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::TouchSession;
    /// # use rocket_diesel_sessions::store::{NewSession, TokenHash};
    /// # let (now, hash) = (chrono::Utc::now(), TokenHash::of(b"the secret half"));
    /// # let mut new = NewSession::new("handle", uuid::Uuid::now_v7(), hash, now);
    /// # new.expires_at += chrono::TimeDelta::days(1);
    /// # let stored = new.into_record();
    ///
    /// let touch = TouchSession::new(stored.session_id, stored.expires_at);
    /// assert!(touch.touched(stored).is_none(), "it has expired by then");
    /// ```
    pub fn touched(&self, stored: SessionRecord) -> Option<SessionRecord> {
        let is_meant = stored.session_id == self.session_id
            && is_of(self.id.as_ref(), &stored)
            && stored.expires_at > self.now;
        if !is_meant {
            return None;
        }
        let deadline = self.expires_at.min(stored.absolute_expires_at);
        let expires_at = stored.expires_at.max(deadline);
        if stored.last_seen_at > self.now {
            return Some(SessionRecord {
                expires_at,
                ..stored
            });
        }
        Some(SessionRecord {
            expires_at,
            last_seen_at: self.now,
            user_agent: self.user_agent.clone().or(stored.user_agent),
            ip: self.ip.clone().or(stored.ip),
            ..stored
        })
    }
}

impl RotateSession {
    /// Returns the session with the new token, for a store to write. Returns `None` if the session
    /// has another token or has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{RotateSession, TokenHash};
    /// # use rocket_diesel_sessions::store::NewSession;
    /// # let (now, hash) = (chrono::Utc::now(), TokenHash::of(b"the secret half"));
    /// # let mut new = NewSession::new("handle", uuid::Uuid::now_v7(), hash, now);
    /// # new.expires_at += chrono::TimeDelta::days(1);
    /// # let stored = new.into_record();
    ///
    /// let rotation = RotateSession {
    ///     session_id: stored.session_id,
    ///     new_session_id: uuid::Uuid::now_v7(),
    ///     new_token_hash: TokenHash::of(b"another secret half"),
    ///     now,
    /// };
    /// let rotated = rotation.rotated(stored).unwrap();
    /// assert_eq!(rotated.session_id, rotation.new_session_id);
    /// ```
    pub fn rotated(&self, stored: SessionRecord) -> Option<SessionRecord> {
        let is_meant = stored.session_id == self.session_id && stored.expires_at > self.now;
        is_meant.then_some(SessionRecord {
            session_id: self.new_session_id,
            token_hash: self.new_token_hash,
            updated_at: self.now,
            ..stored
        })
    }
}

/// Returns whether the session has this handle, if one is known.
fn is_of(id: Option<&SessionHandle>, stored: &SessionRecord) -> bool {
    id.is_none_or(|id| *id == stored.id)
}

impl ListSessions {
    /// Returns whether the session is on the page or on a later one.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{ListSessions, SessionRecord, TokenHash};
    ///
    /// let hash = TokenHash::of(b"the secret half");
    /// let expired = SessionRecord::new("handle", uuid::Uuid::now_v7(), hash);
    /// assert!(!ListSessions::new(chrono::Utc::now(), 100).lists(&expired));
    /// ```
    pub fn lists(&self, record: &SessionRecord) -> bool {
        record.expires_at > self.now
            && self.after.is_none_or(|after| record.session_id < after)
            && (self.user_id.is_none() || record.user_id == self.user_id)
            && self.kind.as_ref().is_none_or(|kind| record.kind == *kind)
    }
}
