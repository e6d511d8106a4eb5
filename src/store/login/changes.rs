//! The rules of a login, for stores that leave them to the library.

use std::cmp::Reverse;
use std::time::Instant;

use super::{LoginOutcome, LoginSession, OnSessionLimit};
use crate::store::error::StoreError;
use crate::store::ids::SessionHandle;
use crate::store::record::SessionRecord;

/// What a login changes in a store. All of it is written, or nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoginChanges {
    /// The outcome, for the store to return.
    pub outcome: LoginOutcome,
    /// The row to store under its handle: a new session, or the visitor's session in place of
    /// `before`. `None` if the login is refused.
    pub session: Option<SessionRecord>,
    /// The visitor's session as it is stored now, if the login keeps it.
    pub before: Option<SessionRecord>,
}

impl LoginChanges {
    /// Returns the handles of the sessions to delete.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, StoreError, TokenHash};
    ///
    /// # fn main() -> Result<(), StoreError> {
    /// # let hash = TokenHash::of(b"the secret half");
    /// # let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// // Without other sessions of the user, none ends.
    /// let changes = LoginSession::new("ada", fresh).changes(&[])?;
    /// assert!(changes.ended().is_empty() && changes.session.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn ended(&self) -> &[SessionHandle] {
        match &self.outcome {
            LoginOutcome::Bound(ended) | LoginOutcome::Created(ended) => ended,
            LoginOutcome::UserRefused | LoginOutcome::LimitReached => &[],
        }
    }

    fn refused(outcome: LoginOutcome) -> Self {
        Self {
            outcome,
            session: None,
            before: None,
        }
    }
}

impl LoginSession {
    /// Returns whether the login depends on this session, so that [`changes`](Self::changes) has to
    /// know it: it is the visitor's, or the user's and of the same kind.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// # let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let mut others = fresh.clone().into_record();
    /// others.user_id = Some("bob".into());
    /// assert!(!LoginSession::new("ada", fresh).concerns(&others));
    /// ```
    pub fn concerns(&self, record: &SessionRecord) -> bool {
        let visitors = self.session.as_ref();
        let is_visitors = visitors.is_some_and(|session| {
            session.id == record.id || session.session_id == record.session_id
        });
        is_visitors || (record.user_id.as_ref() == Some(&self.user_id) && self.is_of_kind(record))
    }

    /// Decides what the login changes, for a store that has read the `sessions` that it
    /// [`concerns`](Self::concerns). Others are ignored.
    ///
    /// The store reads the sessions, calls this, and writes the result in one transaction, within
    /// which no other login of the user is committed. A store that keeps users checks before that
    /// the user exists and has the `password_hash`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use rocket_diesel_sessions::SessionHandle;
    /// use rocket_diesel_sessions::store::{LoginOutcome, LoginSession, SessionRecord, StoreError};
    ///
    /// /// The login of a store that has locked its rows.
    /// fn login(
    ///     rows: &mut BTreeMap<SessionHandle, SessionRecord>,
    ///     login: &LoginSession,
    /// ) -> Result<LoginOutcome, StoreError> {
    ///     let concerned = rows.values().filter(|row| login.concerns(row));
    ///     let changes = login.changes(&concerned.cloned().collect::<Vec<_>>())?;
    ///     rows.retain(|handle, _| !changes.ended().contains(handle));
    ///     rows.extend(changes.session.map(|row| (row.id.clone(), row)));
    ///     Ok(changes.outcome)
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::TooLate`] as [`ensure_in_time`](Self::ensure_in_time) does.
    pub fn changes(&self, sessions: &[SessionRecord]) -> Result<LoginChanges, StoreError> {
        self.ensure_in_time()?;
        let asked = self.session.as_ref();
        let visitors = sessions
            .iter()
            .find(|row| asked.is_some_and(|session| session.id == row.id));

        let others = self.others(sessions);
        let allowed = match self.limit.max {
            0 => others.len(),
            max => max as usize - 1,
        };
        if others.len() > allowed
            && self.limit.on_limit == OnSessionLimit::Refuse
            && !visitors.is_some_and(|row| self.is_users(row))
        {
            return Ok(LoginChanges::refused(LoginOutcome::LimitReached));
        }
        let mut ended: Vec<SessionHandle> = others.into_iter().skip(allowed).cloned().collect();

        if let Some(before) = visitors.filter(|row| self.keeps(row)) {
            return Ok(LoginChanges {
                outcome: LoginOutcome::Bound(ended),
                session: Some(self.bound(before.clone())),
                before: Some(before.clone()),
            });
        }
        // Another user's session ends. An anonymous one that could not be kept stays.
        let is_replaced = |row: &&SessionRecord| {
            row.user_id.is_some() && asked.is_some_and(|it| it.session_id == row.session_id)
        };
        for row in sessions.iter().filter(is_replaced) {
            if !ended.contains(&row.id) {
                ended.push(row.id.clone());
            }
        }
        let mut fresh = self.fresh.clone();
        fresh.user_id = self.signed_in_user().cloned();
        Ok(LoginChanges {
            outcome: LoginOutcome::Created(ended),
            session: Some(fresh.into_record()),
            before: None,
        })
    }

    /// Checks that the login may still be committed. A store that takes long to commit calls this
    /// just before.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Instant;
    /// use rocket_diesel_sessions::store::{LoginSession, NewSession, TokenHash};
    ///
    /// # let hash = TokenHash::of(b"the secret half");
    /// # let fresh = NewSession::new("handle", uuid::Uuid::now_v7(), hash, chrono::Utc::now());
    /// let mut login = LoginSession::new("ada", fresh);
    /// assert!(login.ensure_in_time().is_ok());
    /// login.deadline = Some(Instant::now());
    /// assert!(login.ensure_in_time().is_err());
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::TooLate`] after its deadline, when no one waits for the new token any
    /// more.
    pub fn ensure_in_time(&self) -> Result<(), StoreError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(StoreError::TooLate),
            _ => Ok(()),
        }
    }

    /// Returns the handles of the user's other live sessions, newest token first.
    fn others<'r>(&self, sessions: &'r [SessionRecord]) -> Vec<&'r SessionHandle> {
        let own = self.session.as_ref().map(|session| &session.id);
        let is_other = |row: &&SessionRecord| self.is_users(row) && Some(&row.id) != own;
        let mut others: Vec<_> = sessions.iter().filter(is_other).collect();
        others.sort_by_key(|row| Reverse(row.session_id));
        others.into_iter().map(|row| &row.id).collect()
    }

    /// Returns whether the session is live and belongs to the user that the login signs in.
    fn is_users(&self, record: &SessionRecord) -> bool {
        let user = self.signed_in_user();
        user.is_some()
            && record.user_id.as_ref() == user
            && self.is_of_kind(record)
            && record.expires_at > self.fresh.now
    }

    fn is_of_kind(&self, record: &SessionRecord) -> bool {
        record.kind == self.fresh.kind
    }
}
