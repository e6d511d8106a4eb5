//! What a store is asked to do with sessions: plain values, no database.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::record::{NewSession, SessionRecord, TokenHash};

/// New data for a session, valid only for the version that it was made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SaveSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// The version that the data was made from. The row's version becomes this + 1.
    pub version: i64,
    /// The typed data as JSON.
    pub data: String,
    /// Time of the write. A session that has expired by then is not written.
    pub now: DateTime<Utc>,
}

impl SaveSession {
    /// Asks to write `data`, which was made from `version`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SaveSession;
    ///
    /// # let (session_id, now) = (uuid::Uuid::now_v7(), chrono::Utc::now());
    /// let save = SaveSession::new(session_id, 3, r#"{"count":4}"#, now);
    /// assert_eq!(save.version, 3);
    /// ```
    pub fn new(
        session_id: Uuid,
        version: i64,
        data: impl Into<String>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            session_id,
            version,
            data: data.into(),
            now,
        }
    }
}

/// Activity on a session, which moves its idle deadline: never past the absolute one, never back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TouchSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// Time of the activity. An expired session is not touched.
    pub now: DateTime<Utc>,
    /// The idle deadline that follows from the activity.
    pub expires_at: DateTime<Utc>,
    /// The user agent if it is known. Otherwise the stored one stays.
    pub user_agent: Option<String>,
    /// The address if it is known. Otherwise the stored one stays.
    pub ip: Option<String>,
}

impl TouchSession {
    /// Asks to record activity. It moves no deadline unless `expires_at` is set.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::{TimeDelta, Utc};
    /// use rocket_diesel_sessions::store::TouchSession;
    ///
    /// # let session_id = uuid::Uuid::now_v7();
    /// let now = Utc::now();
    /// let mut touch = TouchSession::new(session_id, now);
    /// touch.expires_at = now + TimeDelta::hours(24);
    /// ```
    pub fn new(session_id: Uuid, now: DateTime<Utc>) -> Self {
        Self {
            session_id,
            now,
            expires_at: now,
            user_agent: None,
            ip: None,
        }
    }
}

/// What one [`write`](super::SessionStore::write) has to do.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct WriteBatch<'a> {
    /// Sessions to insert.
    pub creates: &'a [NewSession],
    /// Data to write, each under its version.
    pub saves: &'a [SaveSession],
    /// Activity to record.
    pub touches: &'a [TouchSession],
}

impl<'a> WriteBatch<'a> {
    /// Asks for inserts, saves and touches.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{TouchSession, WriteBatch};
    ///
    /// # let (session_id, now) = (uuid::Uuid::now_v7(), chrono::Utc::now());
    /// let touches = [TouchSession::new(session_id, now)];
    /// let batch = WriteBatch::new(&[], &[], &touches);
    /// assert!(batch.saves.is_empty());
    /// ```
    pub const fn new(
        creates: &'a [NewSession],
        saves: &'a [SaveSession],
        touches: &'a [TouchSession],
    ) -> Self {
        Self {
            creates,
            saves,
            touches,
        }
    }
}

/// A new token for a session, whose data, user and deadlines stay.
///
/// It is complete: a rotation changes nothing else.
#[derive(Clone, Debug)]
pub struct RotateSession {
    /// The lookup half of the token to replace.
    pub session_id: Uuid,
    /// The lookup half of the new token.
    pub new_session_id: Uuid,
    /// Hash of the new token's secret half.
    pub new_token_hash: TokenHash,
    /// Time of the rotation. An expired session is not rotated.
    pub now: DateTime<Utc>,
}

/// A token to take back that was committed but never reached its visitor, so that the cookie which
/// the visitor still has is good again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Withdrawal {
    /// The session's public handle.
    pub id: String,
    /// The lookup half of the token to take back. Nothing happens unless it is still the row's.
    pub session_id: Uuid,
    /// The session before it got that token: its token, user and absolute deadline are restored.
    /// `None` if the session was made with that token, and is to be deleted.
    pub previous: Option<Box<SessionRecord>>,
    /// Whether the token came with a rotation. That has changed neither user nor deadlines, so they
    /// stay as they are.
    pub is_rotation: bool,
}

impl Withdrawal {
    /// Returns the session as it was before the token that is taken back, for a store to write;
    /// `None` if the session is to be deleted.
    pub fn restored(&self, stored: SessionRecord) -> Option<SessionRecord> {
        let previous = self.previous.as_deref()?;
        let (session_id, token_hash) = (previous.session_id, previous.token_hash);
        if self.is_rotation {
            return Some(SessionRecord {
                session_id,
                token_hash,
                ..stored
            });
        }
        let absolute_expires_at = previous.absolute_expires_at;
        let expires_at = stored.expires_at.max(previous.expires_at);
        Some(SessionRecord {
            session_id,
            token_hash,
            user_id: previous.user_id.clone(),
            absolute_expires_at,
            expires_at: expires_at.min(absolute_expires_at),
            lifetime: previous.lifetime,
            sign_in: previous.sign_in.clone(),
            pending: previous.pending.clone(),
            ..stored
        })
    }
}

/// One batch of a sweep.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SweepBatch {
    /// Sessions that have expired by this time are deleted.
    pub now: DateTime<Utc>,
    /// Maximum number of sessions to delete.
    pub limit: u32,
    /// Whether the handles of deleted sessions are asked for, which takes longer. Default `false`.
    pub handles: bool,
    /// Whether an earlier batch found that others hold or sweep expired rows. These are skipped
    /// then, which takes longer. Default `false`.
    pub contended: bool,
}

impl SweepBatch {
    /// Asks to delete at most `limit` sessions that have expired by `now`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SweepBatch;
    ///
    /// let mut batch = SweepBatch::new(chrono::Utc::now(), 1000);
    /// batch.handles = true;
    /// ```
    pub fn new(now: DateTime<Utc>, limit: u32) -> Self {
        Self {
            now,
            limit,
            handles: false,
            contended: false,
        }
    }
}

/// Which sessions to list. They are live, and the newest token comes first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListSessions {
    /// Sessions that have expired by this time are left out.
    pub now: DateTime<Utc>,
    /// Keyset cursor: only sessions whose `session_id` sorts before this one. Default `None`.
    pub after: Option<Uuid>,
    /// Only sessions of this user. Default `None`.
    pub user_id: Option<String>,
    /// Only sessions of this kind. Default `None`: of all kinds.
    pub kind: Option<String>,
    /// Maximum number of sessions.
    pub limit: u32,
}

impl ListSessions {
    /// Asks for the first page of at most `limit` sessions that live at `now`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::ListSessions;
    ///
    /// let mut query = ListSessions::new(chrono::Utc::now(), 100);
    /// query.user_id = Some("ada".to_owned());
    /// ```
    pub fn new(now: DateTime<Utc>, limit: u32) -> Self {
        Self {
            now,
            after: None,
            user_id: None,
            kind: None,
            limit,
        }
    }
}
