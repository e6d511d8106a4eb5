//! Sessions as they are stored and inserted: plain values, independent of the database.
//!
//! Times are UTC with microseconds, the precision of both databases.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::ids::{SessionHandle, UserId};
use super::login::sign_in::{Lifetime, PendingSignIn, SignIn};

/// The SHA-256 hash of a token's secret half, the only part of it that the database knows.
///
/// A hash without salt or stretching suffices, because the secret is 256 random bits (OWASP ASVS
/// 5.0, 7.2.3). `Debug` does not show it.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::TokenHash;
///
/// let stored = TokenHash::of(b"the secret half");
/// assert!(TokenHash::from_bytes(*stored.as_bytes()).matches(&TokenHash::of(b"the secret half")));
/// assert_eq!(format!("{stored:?}"), "TokenHash(..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token's secret half.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::TokenHash;
    ///
    /// assert_ne!(TokenHash::of(b"one"), TokenHash::of(b"another"));
    /// ```
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Wraps a stored hash.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::TokenHash;
    ///
    /// let hash = TokenHash::from_bytes([7; 32]);
    /// assert_eq!(hash.as_bytes(), &[7; 32]);
    /// ```
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes to store.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::TokenHash;
    ///
    /// assert_eq!(TokenHash::of(b"secret").as_bytes().len(), 32);
    /// ```
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns whether both hashes are equal, in a time that does not depend on where they differ.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::TokenHash;
    ///
    /// assert!(!TokenHash::of(b"guess").matches(&TokenHash::of(b"secret")));
    /// ```
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A session as it is stored: a row of `sessions`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The handle. It stays the same for the session's whole life.
    pub id: SessionHandle,
    /// The lookup half of the token, a `UUIDv7`. Each rotation replaces it.
    pub session_id: Uuid,
    /// Hash of the token's secret half.
    pub token_hash: TokenHash,
    /// The signed-in user. `None` for an anonymous session.
    pub user_id: Option<UserId>,
    /// The typed data as JSON.
    pub data: String,
    /// The version for compare-and-swap. Each write of `data` increments it.
    pub version: i64,
    /// The earlier of the idle and the absolute deadline.
    pub expires_at: DateTime<Utc>,
    /// The absolute deadline. Only a login moves it.
    pub absolute_expires_at: DateTime<Utc>,
    /// Time of the last recorded activity, as precise as `touch_interval`.
    pub last_seen_at: DateTime<Utc>,
    /// User agent of the last touch, at most 512 characters.
    pub user_agent: Option<String>,
    /// Address of the last touch.
    pub ip: Option<String>,
    /// When the session was created.
    pub created_at: DateTime<Utc>,
    /// When the row's data or token was last written.
    pub updated_at: DateTime<Utc>,
    /// The kind of session, for an application with several. Empty for the kind without a name.
    pub kind: String,
    /// The session's own timeouts.
    pub lifetime: Lifetime,
    /// The time and the methods of the sign-in. `None` for an anonymous session, or if the store
    /// does not know them.
    pub sign_in: Option<SignIn>,
    /// A login that awaits a further factor.
    pub pending: Option<PendingSignIn>,
}

impl SessionRecord {
    /// Creates a record of version 0 with the data `{}` and all times at the Unix epoch. A store
    /// then sets the stored values. A record whose deadlines are not set has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{SessionRecord, TokenHash};
    /// # use chrono::{TimeDelta, Utc};
    /// # let (hash, expires_at) = ([0; 32], Utc::now() + TimeDelta::days(1));
    ///
    /// let lookup = uuid::Uuid::now_v7();
    /// let hash = TokenHash::from_bytes(hash);
    /// let mut record = SessionRecord::new("tz4a98xxat96iws9zmbrgj3a", lookup, hash);
    /// record.data = r#"{"count":3}"#.to_owned();
    /// record.version = 2;
    /// record.expires_at = expires_at;
    /// record.absolute_expires_at = expires_at;
    /// assert_eq!(record.user_id, None);
    /// ```
    pub fn new(id: impl Into<SessionHandle>, session_id: Uuid, token_hash: TokenHash) -> Self {
        NewSession::new(id, session_id, token_hash, DateTime::UNIX_EPOCH).into_record()
    }
}

/// A session to insert. Its version is 0, and `now` is the time of its creation and last activity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// The handle, a cuid2.
    pub id: SessionHandle,
    /// The lookup half of the token.
    pub session_id: Uuid,
    /// Hash of the token's secret half.
    pub token_hash: TokenHash,
    /// The user, who must exist. `None` for an anonymous session.
    pub user_id: Option<UserId>,
    /// The typed data as JSON.
    pub data: String,
    /// The earlier of the idle and the absolute deadline.
    pub expires_at: DateTime<Utc>,
    /// The absolute deadline.
    pub absolute_expires_at: DateTime<Utc>,
    /// The visitor's user agent, at most 512 characters.
    pub user_agent: Option<String>,
    /// The visitor's address.
    pub ip: Option<String>,
    /// Time of creation.
    pub now: DateTime<Utc>,
    /// The kind of session, for an application with several. Empty for the kind without a name.
    pub kind: String,
    /// The session's own timeouts.
    pub lifetime: Lifetime,
    /// The time and the methods of the sign-in. `None` for an anonymous session, or if the store
    /// does not know them.
    pub sign_in: Option<SignIn>,
    /// A login that awaits a further factor.
    pub pending: Option<PendingSignIn>,
}

impl NewSession {
    /// Creates an anonymous session with the data `{}`. It expires at `now` unless its deadlines
    /// are set.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::{TimeDelta, Utc};
    /// use rocket_diesel_sessions::store::{NewSession, TokenHash};
    ///
    /// let now = Utc::now();
    /// let hash = TokenHash::of(b"the secret half");
    /// let mut new = NewSession::new("tz4a98xxat96iws9zmbrgj3a", uuid::Uuid::now_v7(), hash, now);
    /// new.user_id = Some("ada".into());
    /// new.expires_at = now + TimeDelta::hours(24);
    /// new.absolute_expires_at = now + TimeDelta::days(30);
    /// ```
    pub fn new(
        id: impl Into<SessionHandle>,
        session_id: Uuid,
        token_hash: TokenHash,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            session_id,
            token_hash,
            user_id: None,
            data: "{}".to_owned(),
            expires_at: now,
            absolute_expires_at: now,
            user_agent: None,
            ip: None,
            now,
            kind: String::new(),
            lifetime: Lifetime::default(),
            sign_in: None,
            pending: None,
        }
    }

    /// Returns whether the session has a sign-in, a pending one, or its own timeouts to store.
    #[cfg(feature = "postgres")]
    pub(crate) fn has_sign_in(&self) -> bool {
        self.lifetime != Lifetime::default() || self.sign_in.is_some() || self.pending.is_some()
    }

    /// Returns the row that this becomes when inserted.
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::store::{NewSession, TokenHash};
    /// # let hash = TokenHash::of(b"the secret half");
    /// # let new = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let record = new.into_record();
    /// assert_eq!(record.version, 0);
    /// assert_eq!(record.last_seen_at, record.created_at);
    /// ```
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
            kind: self.kind,
            lifetime: self.lifetime,
            sign_in: self.sign_in,
            pending: self.pending,
        }
    }
}
