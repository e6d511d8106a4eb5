//! Requests and outcomes of logins and revocations.

mod changes;
pub(super) mod sign_in;

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{SessionHandle, UserId};
use super::record::{NewSession, SessionRecord};

pub use self::changes::LoginChanges;

/// A login: the user to be signed in, with a new token, in the visitor's session or in a new one.
/// `Debug` shows no hash.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoginSession {
    /// The user, who must exist and not be disabled.
    pub user_id: UserId,
    /// The verified password hash. If given, the login is refused unless this is still the user's
    /// hash.
    pub password_hash: Option<String>,
    /// The visitor's session. It is kept, with its data, if it is anonymous or the user's own. A
    /// session of another user ends.
    pub session: Option<BindSession>,
    /// The session to create if none is kept. Its token, user agent, address and time also apply to
    /// a kept session. Its user is ignored.
    pub fresh: NewSession,
    /// The limit of the user's sessions, including this one.
    pub limit: SessionLimit,
    /// The latest time at which the login may commit. After that, no response could deliver the new
    /// token.
    pub deadline: Option<Instant>,
}

impl LoginSession {
    /// Creates a login of a user with the new session `fresh` and without a limit of sessions.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::OnSessionLimit;
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, SessionLimit, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// # let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let mut login = LoginSession::new("ada", fresh);
    /// login.limit = SessionLimit::new(5, OnSessionLimit::EndOldest);
    /// ```
    pub fn new(user_id: impl Into<UserId>, fresh: NewSession) -> Self {
        Self {
            user_id: user_id.into(),
            password_hash: None,
            session: None,
            fresh,
            limit: SessionLimit::default(),
            deadline: None,
        }
    }
}

impl LoginSession {
    /// Returns the user to whom the session then belongs, or `None` if the login awaits a further
    /// factor.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// assert_eq!(LoginSession::new("ada", fresh).signed_in_user(), Some(&"ada".into()));
    /// ```
    pub fn signed_in_user(&self) -> Option<&UserId> {
        self.fresh.pending.is_none().then_some(&self.user_id)
    }

    /// Returns whether the login keeps this session, for a store that has loaded it: it is live, is
    /// of the same kind, and is either the user's own or anonymous with the visitor's token.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let stored = fresh.clone().into_record();
    /// // Without a session of the visitor, none is kept.
    /// assert!(!LoginSession::new("ada", fresh).keeps(&stored));
    /// ```
    pub fn keeps(&self, record: &SessionRecord) -> bool {
        let asked = self.session.as_ref();
        let is_asked = |session: &BindSession| session.session_id == record.session_id;
        let is_free = match &record.user_id {
            Some(_) => record.user_id.as_ref() == self.signed_in_user(),
            None => asked.is_some_and(is_asked),
        };
        record.expires_at > self.fresh.now && record.kind == self.fresh.kind && is_free
    }

    /// Returns the session as the login leaves it, for a store to write. Its data is unchanged.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let stored = fresh.clone().into_record();
    /// let bound = LoginSession::new("ada", fresh).bound(stored);
    /// assert_eq!(bound.user_id, Some("ada".into()));
    /// ```
    pub fn bound(&self, before: SessionRecord) -> SessionRecord {
        let new = &self.fresh;
        let (expires_at, absolute_expires_at) = match &self.session {
            Some(session) if session.is_exact => (session.expires_at, session.absolute_expires_at),
            Some(session) => (
                before.expires_at.max(session.expires_at),
                before.absolute_expires_at.max(session.absolute_expires_at),
            ),
            None => (before.expires_at, before.absolute_expires_at),
        };
        SessionRecord {
            session_id: new.session_id,
            token_hash: new.token_hash,
            user_id: self.signed_in_user().cloned(),
            expires_at,
            absolute_expires_at,
            last_seen_at: before.last_seen_at.max(new.now),
            user_agent: new.user_agent.clone().or(before.user_agent),
            ip: new.ip.clone().or(before.ip),
            updated_at: new.now,
            lifetime: new.lifetime,
            sign_in: new.sign_in.clone(),
            pending: new.pending.clone(),
            ..before
        }
    }
}

impl fmt::Debug for LoginSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginSession")
            .field("user_id", &self.user_id)
            .field("session", &self.session)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A session that a login keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BindSession {
    /// The session's handle. It identifies the session if it has become the user's own with another
    /// token in the meantime, for example because a form was sent twice.
    pub id: SessionHandle,
    /// The lookup half of the session's token.
    pub session_id: Uuid,
    /// The session's new deadline, unless that would move it back.
    pub expires_at: DateTime<Utc>,
    /// The session's new absolute deadline, unless that would move it back.
    pub absolute_expires_at: DateTime<Utc>,
    /// Whether the deadlines apply even if that moves them back, because the login sets timeouts.
    pub is_exact: bool,
}

/// The limit of a user's live sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimit {
    /// The maximum number; 0 means no limit.
    pub max: u32,
    /// What a login does that would exceed the limit.
    pub on_limit: OnSessionLimit,
}

impl SessionLimit {
    /// Creates a limit of `max` sessions; 0 means no limit.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::OnSessionLimit;
    /// use rocket_diesel_sessions::store::SessionLimit;
    ///
    /// let limit = SessionLimit::new(1, OnSessionLimit::Refuse);
    /// assert_eq!(limit.max, 1);
    /// ```
    pub const fn new(max: u32, on_limit: OnSessionLimit) -> Self {
        Self { max, on_limit }
    }
}

/// What a login does that would exceed the limit of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnSessionLimit {
    /// It ends the sessions with the oldest tokens.
    #[default]
    EndOldest,
    /// It is refused.
    Refuse,
}

/// The outcome of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginOutcome {
    /// The visitor's session now belongs to the user. The sessions with these handles ended.
    Bound(Vec<SessionHandle>),
    /// The user has a new session. The sessions with these handles ended.
    Created(Vec<SessionHandle>),
    /// There is no such user, the user is disabled, or the password hash is a different one by now.
    UserRefused,
    /// The user has reached the limit of sessions. Nothing was changed.
    LimitReached,
}

/// A revocation of sessions of one user. Sessions of others are never affected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// The user.
    pub user_id: UserId,
    /// The user's sessions that end.
    pub scope: RevokeScope,
    /// Only sessions of this kind. Default `None`: of all kinds.
    pub kind: Option<String>,
    /// The acting session, if there is one. It must be live and the user's.
    pub by: Option<ActingSession>,
}

impl Revocation {
    /// Creates a revocation without an acting session.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{ActingSession, Revocation, RevokeScope};
    ///
    /// # let (session_id, now) = (uuid::Uuid::now_v7(), chrono::Utc::now());
    /// let mut revocation = Revocation::new("ada", RevokeScope::All);
    /// revocation.by = Some(ActingSession { session_id, now });
    /// ```
    pub fn new(user_id: impl Into<UserId>, scope: RevokeScope) -> Self {
        Self {
            user_id: user_id.into(),
            scope,
            kind: None,
            by: None,
        }
    }

    /// Returns whether the session is one of those to end. Expired ones end too.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{Revocation, RevokeScope, SessionRecord, TokenHash};
    ///
    /// let hash = TokenHash::of(b"the secret half");
    /// let mut record = SessionRecord::new("handle", uuid::Uuid::now_v7(), hash);
    /// let revocation = Revocation::new("ada", RevokeScope::All);
    /// assert!(!revocation.ends(&record));
    /// record.user_id = Some("ada".into());
    /// assert!(revocation.ends(&record));
    /// ```
    pub fn ends(&self, record: &SessionRecord) -> bool {
        let is_in_scope = match &self.scope {
            RevokeScope::One(id) => record.id == *id,
            RevokeScope::AllBut(id) => record.id != *id,
            RevokeScope::All => true,
        };
        is_in_scope
            && record.user_id.as_ref() == Some(&self.user_id)
            && self.kind.as_ref().is_none_or(|kind| record.kind == *kind)
    }

    /// Returns whether the session allows the revocation: there is no acting session, or it is
    /// `acting`, which the store has found by its token, and is live and the user's.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{Revocation, RevokeScope};
    ///
    /// assert!(Revocation::new("ada", RevokeScope::All).is_allowed_by(None));
    /// ```
    pub fn is_allowed_by(&self, acting: Option<&SessionRecord>) -> bool {
        self.by.is_none_or(|by| {
            acting.is_some_and(|row| {
                row.session_id == by.session_id
                    && row.user_id.as_ref() == Some(&self.user_id)
                    && row.expires_at > by.now
            })
        })
    }
}

/// The session from which a user acts. The action is done only while it is live.
#[derive(Clone, Copy, Debug)]
pub struct ActingSession {
    /// The lookup half of the session's token.
    pub session_id: Uuid,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

/// The sessions of a user that end. Every store must support each variant, so a further one would
/// be a breaking change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeScope {
    /// The session with this handle.
    One(SessionHandle),
    /// All sessions except the one with this handle.
    AllBut(SessionHandle),
    /// All sessions.
    All,
}
