//! What a store keeps and what it is asked to do: plain values, no database.
//!
//! Times are UTC with microseconds, the precision both databases keep.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// SHA-256 of a token's secret half: all that the database knows of it.
///
/// A hash without salt or stretching is enough, because the secret is 256 random bits
/// (OWASP ASVS 5.0, 7.2.3). `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token's secret half.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A hash as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// One row of `sessions`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// cuid2, stable for the session's whole life: the public handle.
    pub id: String,
    /// `UUIDv7`, the lookup half of the token; a new one at each rotation.
    pub session_id: Uuid,
    /// Hash of the token's secret half.
    pub token_hash: TokenHash,
    /// The signed-in user, `None` for an anonymous session.
    pub user_id: Option<String>,
    /// The typed data as JSON.
    pub data: String,
    /// +1 at each write of `data`: the compare-and-swap guard.
    pub version: i64,
    /// The earlier of the idle and the absolute deadline.
    pub expires_at: DateTime<Utc>,
    /// Fixed when the session is created.
    pub absolute_expires_at: DateTime<Utc>,
    /// Last activity, as exact as `touch_interval`.
    pub last_seen_at: DateTime<Utc>,
    /// User agent of the last touch, at most 512 characters.
    pub user_agent: Option<String>,
    /// Address of the last touch.
    pub ip: Option<String>,
    /// When the session was created.
    pub created_at: DateTime<Utc>,
    /// When the row's data or token was last written.
    pub updated_at: DateTime<Utc>,
}

/// A session to insert; its version is 0, and `now` is its time of creation and last activity.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Public handle, cuid2.
    pub id: String,
    /// Lookup half of its token.
    pub session_id: Uuid,
    /// Hash of the token's secret half.
    pub token_hash: TokenHash,
    /// Its user; must exist.
    pub user_id: Option<String>,
    /// The typed data as JSON.
    pub data: String,
    /// The earlier of the idle and the absolute deadline.
    pub expires_at: DateTime<Utc>,
    /// The absolute deadline.
    pub absolute_expires_at: DateTime<Utc>,
    /// User agent, at most 512 characters.
    pub user_agent: Option<String>,
    /// Address.
    pub ip: Option<String>,
    /// Time of creation.
    pub now: DateTime<Utc>,
}

impl NewSession {
    /// The row that inserting this makes.
    pub fn into_record(self) -> SessionRecord {
        SessionRecord {
            id: self.id,
            session_id: self.session_id,
            token_hash: self.token_hash,
            user_id: self.user_id,
            data: self.data,
            version: 0,
            expires_at: self.expires_at,
            absolute_expires_at: self.absolute_expires_at,
            last_seen_at: self.now,
            user_agent: self.user_agent,
            ip: self.ip,
            created_at: self.now,
            updated_at: self.now,
        }
    }
}

/// New data for a session, valid only for the version it was made from.
#[derive(Clone, Debug)]
pub struct SaveSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// The version the data was made from; the row's becomes this + 1.
    pub version: i64,
    /// The typed data as JSON.
    pub data: String,
    /// Time of the write; a session that has expired by then is not written.
    pub now: DateTime<Utc>,
}

/// What became of one [`SaveSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// Committed.
    Saved,
    /// Nothing was written: another version is stored, or the session is gone, rotated or expired.
    Refused,
    /// Nothing was written: another transaction holds the row. The save may be tried again.
    Held,
}

/// What became of one [`RotateSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// Committed: the old token is dead.
    Rotated,
    /// Nothing was written: the session is gone, rotated or expired.
    Gone,
    /// Nothing was written: another transaction holds the row. The rotation may be tried again.
    Held,
}

impl RotateOutcome {
    /// What it was, where no row was held.
    pub(super) fn of(was_there: bool) -> Self {
        if was_there { Self::Rotated } else { Self::Gone }
    }
}

/// What became of sessions that were to be deleted, by public handle. A session that is in neither
/// list was not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// Sessions that were there and are deleted.
    pub ended: Vec<String>,
    /// Sessions that another transaction holds. The delete may be tried again.
    pub held: Vec<String>,
}

/// Takes back a token that was committed but never reached its visitor, so that the cookie which
/// the visitor still has is good again.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    /// The session's public handle.
    pub id: String,
    /// The lookup half of the token to take back. Nothing happens unless it is still the row's.
    pub session_id: Uuid,
    /// The session before it got that token: its token, user and absolute deadline are restored.
    /// `None` if the session was made with that token: it is deleted.
    pub previous: Option<Box<SessionRecord>>,
    /// Whether the token came with a rotation, which changes neither user nor deadlines: they stay as
    /// they are.
    pub is_rotation: bool,
}

/// Activity on a session: moves its idle deadline, never past the absolute one, never back.
#[derive(Clone, Debug)]
pub struct TouchSession {
    /// The session, by the lookup half of the token it was loaded with.
    pub session_id: Uuid,
    /// Time of the activity; an expired session is not touched.
    pub now: DateTime<Utc>,
    /// The idle deadline that follows from it.
    pub expires_at: DateTime<Utc>,
    /// User agent, if known; otherwise the stored one stays.
    pub user_agent: Option<String>,
    /// Address, if known; otherwise the stored one stays.
    pub ip: Option<String>,
}

/// What one [`write`](super::SessionStore::write) is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteBatch<'a> {
    /// Sessions to insert.
    pub creates: &'a [NewSession],
    /// Data to write, each under its version.
    pub saves: &'a [SaveSession],
    /// Activity to record.
    pub touches: &'a [TouchSession],
}

/// What one [`write`](super::SessionStore::write) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// For each save of the batch, in its order, what became of it.
    pub saved: Vec<SaveOutcome>,
    /// How many sessions were touched.
    pub touched: usize,
}

/// A new token for a session: same row, same data, same deadlines.
#[derive(Clone, Debug)]
pub struct RotateSession {
    /// The lookup half of the token to replace.
    pub session_id: Uuid,
    /// Lookup half of the new token.
    pub new_session_id: Uuid,
    /// Hash of the new token's secret half.
    pub new_token_hash: TokenHash,
    /// Time of the rotation; an expired session is not rotated.
    pub now: DateTime<Utc>,
}

/// A batch of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepBatch {
    /// Sessions that have expired by then are deleted.
    pub now: DateTime<Utc>,
    /// How many at most.
    pub limit: u32,
    /// Whether the handles of those that were deleted are asked for; that takes longer.
    pub handles: bool,
    /// Whether others hold rows that have expired, or sweep them too, as an earlier batch has found:
    /// these are skipped then, which takes longer.
    pub contended: bool,
}

/// What a batch of a sweep deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepOutcome {
    /// How many sessions.
    pub deleted: usize,
    /// Their public handles, if they were asked for.
    pub handles: Vec<String>,
    /// Whether others were met that hold rows which have expired, or sweep them too.
    pub contended: bool,
}

/// Connections of a store's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Open ones.
    pub open: u32,
    /// Those of them that are being used.
    pub in_use: u32,
    /// Most that may be open.
    pub size: u32,
}

/// Which sessions to list: live ones, newest token first.
#[derive(Clone, Debug)]
pub struct ListSessions {
    /// Sessions that have expired by then are left out.
    pub now: DateTime<Utc>,
    /// Keyset cursor: only sessions whose `session_id` sorts before this one.
    pub after: Option<Uuid>,
    /// Only this user's.
    pub user_id: Option<String>,
    /// How many at most.
    pub limit: u32,
}
