//! Signing in and signing out devices: what is asked, and what comes of it.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{NewSession, SessionRecord};

/// A user to be signed in: under a new token, in the visitor's session or in a new one. `Debug` shows
/// no hash.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoginSession {
    /// The user; must exist and not be disabled.
    pub user_id: String,
    /// If given, must be the user's password hash still: what was verified counts only while it
    /// is true.
    pub password_hash: Option<String>,
    /// The visitor's session. One that is anonymous or the user's own is kept, with its data; one
    /// of another user ends.
    pub session: Option<BindSession>,
    /// The session to make where none is kept. Its token, agent, address and time are the kept
    /// one's too; its user is ignored.
    pub fresh: NewSession,
    /// How many sessions the user may have, this one among them.
    pub limit: SessionLimit,
    /// The latest moment at which it may commit. After that, no one waits for the new token.
    pub deadline: Option<Instant>,
}

impl LoginSession {
    /// Asks to sign a user in with the new session `fresh`, without a limit of sessions.
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
    pub fn new(user_id: impl Into<String>, fresh: NewSession) -> Self {
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
    /// The user whom the session belongs to afterwards; `None` if the login awaits a further factor.
    pub fn signed_in_user(&self) -> Option<&String> {
        self.fresh.pending.is_none().then_some(&self.user_id)
    }

    /// Returns whether the login keeps this session, for a store that has loaded it: it is live and
    /// of the same kind, and either the user's own, or anonymous and under the visitor's token.
    pub fn keeps(&self, record: &SessionRecord) -> bool {
        let asked = self.session.as_ref();
        let is_asked = |session: &BindSession| session.session_id == record.session_id;
        let is_free = match &record.user_id {
            Some(_) => record.user_id.as_ref() == self.signed_in_user(),
            None => asked.is_some_and(is_asked),
        };
        record.expires_at > self.fresh.now && record.kind == self.fresh.kind && is_free
    }

    /// Returns the session as the login leaves it, for a store to write. Its data stays.
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

/// A session that a login is to keep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BindSession {
    /// Its public handle: by this it is kept if it has become the user's own under another token
    /// meanwhile, as when a form is sent twice.
    pub id: String,
    /// The lookup half of its token.
    pub session_id: Uuid,
    /// Its deadline from now on, unless that would move it back.
    pub expires_at: DateTime<Utc>,
    /// Its absolute deadline from now on, unless that would move it back.
    pub absolute_expires_at: DateTime<Utc>,
    /// Whether the deadlines hold even where that moves them back: the login has timeouts of its
    /// own.
    pub is_exact: bool,
}

/// How many live sessions a user may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimit {
    /// The number; 0 is no limit.
    pub max: u32,
    /// What happens to a login that would pass it.
    pub on_limit: OnSessionLimit,
}

impl SessionLimit {
    /// Limits a user to `max` sessions; 0 is no limit.
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

/// What happens to a login that would give the user too many sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnSessionLimit {
    /// The sessions whose tokens are oldest end.
    #[default]
    EndOldest,
    /// It is refused.
    Refuse,
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginOutcome {
    /// The visitor's session is the user's now; these ended for it, by public handle.
    Bound(Vec<String>),
    /// The user has a new session; these ended for it, by public handle.
    Created(Vec<String>),
    /// There is no such user, the user is disabled, or the password is another one by now.
    UserRefused,
    /// The user has as many sessions as allowed. Nothing was changed.
    LimitReached,
}

/// Sessions of one user that are to end. Those of others are never affected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// The user.
    pub user_id: String,
    /// Which of the user's sessions.
    pub scope: RevokeScope,
    /// Only sessions of this kind. Default `None`: of all kinds.
    pub kind: Option<String>,
    /// The session that asks for it, if one does: it must be the user's, and live.
    pub by: Option<ActingSession>,
}

impl Revocation {
    /// Asks to end sessions of a user, on no session's behalf.
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
    pub fn new(user_id: impl Into<String>, scope: RevokeScope) -> Self {
        Self {
            user_id: user_id.into(),
            scope,
            kind: None,
            by: None,
        }
    }
}

/// A session that a user acts from: what it asks for is done only while it is live.
#[derive(Clone, Copy, Debug)]
pub struct ActingSession {
    /// The lookup half of its token.
    pub session_id: Uuid,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

/// Which of a user's sessions are to end. Every store must be able to do each, so a further one
/// would be a breaking change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeScope {
    /// The one with this public handle.
    One(String),
    /// All but the one with this public handle.
    AllBut(String),
    /// All.
    All,
}
