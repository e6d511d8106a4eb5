//! Requests to a store: plain values, independent of the database.

pub(super) mod outcome;
mod rows;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ids::{SessionHandle, UserId};
use super::record::{NewSession, SessionRecord, TokenHash};

/// Names the row of a session, by the lookup half of its token and by its handle.
///
/// The handle never changes, so a database that is sharded by it reads one shard instead of all.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::SessionKey;
///
/// let mut key = SessionKey::new(uuid::Uuid::now_v7());
/// assert!(key.id.is_none());
/// key.id = Some("tz4a98xxat96iws9zmbrgj3a".into());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionKey {
    /// The lookup half of the session's token.
    pub session_id: Uuid,
    /// The session's handle, if known. A session with another handle is not meant. Default `None`.
    pub id: Option<SessionHandle>,
}

impl SessionKey {
    /// Creates the key of a session whose handle is not known.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SessionKey;
    ///
    /// let session_id = uuid::Uuid::now_v7();
    /// assert_eq!(SessionKey::new(session_id).session_id, session_id);
    /// ```
    pub fn new(session_id: Uuid) -> Self {
        Self {
            session_id,
            id: None,
        }
    }
}

/// New data for a session. It is written only if the row still has the version that it was made
/// from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SaveSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// The session's handle, if known, as in [`SessionKey`]. Default `None`.
    pub id: Option<SessionHandle>,
    /// The version that the data was made from. The row's version becomes this + 1.
    pub version: i64,
    /// The typed data as JSON.
    pub data: String,
    /// Time of the write. A session that has expired by then is not written.
    pub now: DateTime<Utc>,
}

impl SaveSession {
    /// Creates a request to write `data`, which was made from `version`.
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
            id: None,
            version,
            data: data.into(),
            now,
        }
    }
}

/// Activity on a session. It moves the idle deadline, but never past the absolute one and never
/// back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TouchSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// The session's handle, if known, as in [`SessionKey`]. Default `None`.
    pub id: Option<SessionHandle>,
    /// Time of the activity. An expired session is not touched.
    pub now: DateTime<Utc>,
    /// The resulting idle deadline.
    pub expires_at: DateTime<Utc>,
    /// The user agent, if known. Otherwise the stored one is kept.
    pub user_agent: Option<String>,
    /// The address, if known. Otherwise the stored one is kept.
    pub ip: Option<String>,
}

impl TouchSession {
    /// Creates a request to record activity. It moves no deadline unless `expires_at` is set.
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
            id: None,
            now,
            expires_at: now,
            user_agent: None,
            ip: None,
        }
    }
}

/// The content of one [`write`](super::SessionStore::write).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct WriteBatch<'a> {
    /// Sessions to insert.
    pub creates: &'a [NewSession],
    /// Data to save, each under its version.
    pub saves: &'a [SaveSession],
    /// Activity to record.
    pub touches: &'a [TouchSession],
}

impl<'a> WriteBatch<'a> {
    /// Creates a batch of inserts, saves and touches.
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

    /// Returns whether one statement per row, or one in all, can write the batch.
    #[cfg(feature = "postgres")]
    pub(super) fn is_of_one_kind(&self) -> bool {
        let has = [
            !self.creates.is_empty(),
            !self.saves.is_empty(),
            !self.touches.is_empty(),
        ];
        has.into_iter().filter(|has| *has).count() <= 1
    }
}

/// A new token for a session. Data, user and deadlines are kept.
///
/// This struct is complete: a rotation changes nothing else.
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

/// The withdrawal of a token that was committed but never reached its visitor. The visitor's old
/// cookie becomes valid again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Withdrawal {
    /// The session's handle.
    pub id: SessionHandle,
    /// The lookup half of the token to withdraw. Nothing happens unless the row still has it.
    pub session_id: Uuid,
    /// The session before it got that token. Its token, user and absolute deadline are restored.
    /// `None` if the session was created with that token and is to be deleted.
    pub previous: Option<Box<SessionRecord>>,
    /// Whether the token came with a rotation, which changed neither user nor deadlines. They are
    /// then left unchanged.
    pub is_rotation: bool,
}

impl Withdrawal {
    /// Returns the session as it was before the withdrawn token, for a store to write, or `None` if
    /// the session is to be deleted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{SessionRecord, Withdrawal};
    ///
    /// /// In a store: puts back a session, or says that it is to be deleted.
    /// fn withdraw(stored: SessionRecord, withdrawal: &Withdrawal) -> Option<SessionRecord> {
    ///     withdrawal.restored(stored)
    /// }
    /// ```
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
    /// The moment that earlier batches of the pass have reached. No session that expires before it
    /// needs to be looked for. A store may ignore this. Default `None`.
    pub from: Option<DateTime<Utc>>,
    /// Whether to return the handles of deleted sessions, which takes longer. Default `false`.
    pub handles: bool,
    /// Whether to skip locked rows, which takes longer. Set once a batch has met a locked row or a
    /// concurrent sweep. Default `false`.
    pub contended: bool,
}

impl SweepBatch {
    /// Creates a request to delete at most `limit` sessions that have expired by `now`.
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
            from: None,
            handles: false,
            contended: false,
        }
    }
}

/// A query for live sessions, newest token first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListSessions {
    /// Sessions that have expired by this time are omitted.
    pub now: DateTime<Utc>,
    /// Keyset cursor: only sessions whose `session_id` sorts before this one. Default `None`.
    pub after: Option<Uuid>,
    /// Only sessions of this user. Default `None`.
    pub user_id: Option<UserId>,
    /// Only sessions of this kind. Default `None`, all kinds.
    pub kind: Option<String>,
    /// Maximum number of sessions.
    pub limit: u32,
}

impl ListSessions {
    /// Creates a query for the first page of at most `limit` sessions that are live at `now`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::ListSessions;
    ///
    /// let mut query = ListSessions::new(chrono::Utc::now(), 100);
    /// query.user_id = Some("ada".into());
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
