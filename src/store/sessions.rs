//! The [`SessionStore`] trait.

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[cfg(feature = "diesel")]
use super::DieselStore;
use super::error::StoreError;
use super::ids::{SessionHandle, UserId};
use super::login::{LoginOutcome, LoginSession, Revocation};
use super::record::{NewSession, SessionRecord};
use super::request::outcome::{
    DeleteOutcome, PoolState, RotateOutcome, SaveOutcome, SweepOutcome, WriteOutcome,
};
use super::request::{
    ListSessions, RotateSession, SaveSession, SessionKey, SweepBatch, TouchSession, Withdrawal,
    WriteBatch,
};
use super::scan::{self, ScanSessions, SessionScan};

/// The live sessions of one user, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPresence {
    /// The user.
    pub user_id: UserId,
    /// The number of live sessions, at most [`MOST`](Self::MOST).
    pub sessions: u32,
    /// When the newest of them signed in.
    pub last_sign_in: Option<DateTime<Utc>>,
}

impl UserPresence {
    /// The number of a user's sessions at which counting stops.
    pub const MOST: u32 = 1000;
}

/// A store of sessions, the counterpart of express-session's `Store` interface.
///
/// The methods are synchronous, because Diesel is, and take batches, because a batch costs one
/// statement and one commit. The caller decides how many threads call them. A call is atomic: an
/// error means that nothing was written, unless it is [`StoreError::Broken`],
/// [`StoreError::Uncertain`] or [`StoreError::Other`], after which this is unknown. [`StoreError`] lists the effect of each
/// error on a request.
///
/// Only `creates` and logins insert sessions. All other methods do nothing for a session that is
/// gone, so an ended session never comes back.
///
/// # Errors
/// Every method fails if the database fails or cannot be reached. Further reasons are listed at the
/// method.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail for the same reasons, which the trait describes"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Loads the sessions with these lookup halves, each once, in no particular order. Absent
    /// sessions are omitted. Expired ones are returned; the caller decides whether to serve them.
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError>;

    /// Loads sessions like [`load`](Self::load), by lookup half and handle. The default
    /// implementation calls `load` and omits sessions with another handle.
    fn load_by_key(&self, keys: &[SessionKey]) -> Result<Vec<SessionRecord>, StoreError> {
        let session_ids: Vec<Uuid> = keys.iter().map(|key| key.session_id).collect();
        let mut records = self.load(&session_ids)?;
        records.retain(|record| {
            let is_meant = |key: &SessionKey| {
                key.session_id == record.session_id
                    && key.id.as_ref().is_none_or(|id| *id == record.id)
            };
            keys.iter().any(is_meant)
        });
        Ok(records)
    }

    /// Returns the session with this handle, even if it has expired.
    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError>;

    /// Returns the handles of those of these sessions that are live at `now`. The default
    /// implementation calls [`find`](Self::find) for each.
    fn find_live(
        &self,
        ids: &[SessionHandle],
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionHandle>, StoreError> {
        let mut live = Vec::new();
        for id in ids {
            let record = self.find(id)?;
            live.extend(record.filter(|it| it.expires_at > now).map(|it| it.id));
        }
        Ok(live)
    }

    /// Inserts, saves and touches, all in one transaction.
    ///
    /// A save needs the version that it was made from. Of several saves of one session, only the
    /// first can succeed. A touch may be skipped if it would have to wait for another transaction.
    ///
    /// # Errors
    /// Returns [`StoreError::Constraint`] if an id is taken or a user does not exist.
    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError>;

    /// Gives sessions new tokens. Returns, for each, whether it was live.
    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError>;

    /// Signs a user in, in one transaction: checks the user and the limit of sessions, and binds the
    /// visitor's session to the user with a new token, or creates a session. The old token is then
    /// invalid, and the data of a kept session is unchanged.
    ///
    /// # Errors
    /// Returns [`StoreError::TooLate`] if it could not commit by its deadline.
    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError>;

    /// Signs a user in like [`login`](Self::login). Also returns the session that was bound, as it
    /// was before. The default implementation reads it just before the login.
    ///
    /// # Errors
    /// Fails as `login` does.
    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        let before = match &login.session {
            Some(session) => self.find(&session.id)?,
            None => None,
        };
        Ok((self.login(login)?, before))
    }

    /// Deletes sessions of one user and returns their handles, or `None` if the acting session has
    /// ended.
    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError>;

    /// Deletes the sessions with these handles. Returns the handles of those that existed.
    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError>;

    /// Deletes at most `limit` of the sessions created by `now` and returns their handles. An empty
    /// result means that none is left.
    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError>;

    /// Returns one page of the live sessions, newest token first.
    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError>;

    /// Returns how many live sessions each of these users has at `now`, and when the newest of them
    /// signed in. Counts at most [`UserPresence::MOST`] per user. Users without sessions are omitted.
    /// The default implementation lists the sessions of each.
    fn presence(
        &self,
        users: &[UserId],
        now: DateTime<Utc>,
    ) -> Result<Vec<UserPresence>, StoreError> {
        let mut presence = Vec::new();
        for user_id in users {
            let mut query = ListSessions::new(now, UserPresence::MOST);
            query.user_id = Some(user_id.clone());
            let sessions = self.list(&query)?;
            let signed_in_at = |session: &SessionRecord| {
                let sign_in = session.sign_in.as_ref();
                sign_in.map_or(session.created_at, |sign_in| sign_in.at)
            };
            if let Some(last) = sessions.iter().map(signed_in_at).max() {
                presence.push(UserPresence {
                    user_id: user_id.clone(),
                    sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
                    last_sign_in: Some(last),
                });
            }
        }
        Ok(presence)
    }

    /// Reads at most `scan.limit` rows in the order of the scan, and returns the live sessions among
    /// them. An index should find the first one, so that no step reads more as the table grows.
    ///
    /// The default implementation calls [`list`](Self::list). It reads all sessions, unless the
    /// scan goes forwards through the newest ones of all or of one user.
    fn scan(&self, scan: &ScanSessions) -> Result<SessionScan, StoreError> {
        scan::by_listing(self, scan)
    }

    /// Deletes a batch of expired sessions and skips those that another sweep or a request has
    /// locked. If none is deleted, there is nothing left to do.
    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError>;

    /// Checks with one statement that the database answers.
    fn ping(&self) -> Result<(), StoreError>;

    /// Checks whether a database that failed can be reached again. The default implementation calls
    /// [`ping`](Self::ping).
    fn probe(&self) -> Result<(), StoreError> {
        self.ping()
    }

    /// Gives sessions new tokens without waiting long for rows that another transaction has locked.
    /// The default implementation waits like [`rotate`](Self::rotate).
    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        let rotated = self.rotate(rotations)?;
        Ok(rotated.into_iter().map(RotateOutcome::of).collect())
    }

    /// Rotates sessions like [`try_rotate`](Self::try_rotate), each also named by its handle. The
    /// default implementation leaves the handles out, because a token belongs to one session.
    fn rotate_by_key(
        &self,
        rotations: &[(SessionHandle, RotateSession)],
    ) -> Result<Vec<RotateOutcome>, StoreError> {
        let rotations: Vec<RotateSession> = rotations
            .iter()
            .map(|(_, rotation)| rotation.clone())
            .collect();
        self.try_rotate(&rotations)
    }

    /// Deletes sessions by handle without waiting long for rows that another transaction has
    /// locked. The default implementation waits like [`delete`](Self::delete).
    fn try_delete(&self, handles: &[SessionHandle]) -> Result<DeleteOutcome, StoreError> {
        let held = Vec::new();
        let ended = self.delete(handles)?;
        Ok(DeleteOutcome { ended, held })
    }

    /// Withdraws tokens that never reached their visitors. Returns, for each, whether it was still
    /// the session's token.
    ///
    /// The default implementation restores the previous token with [`rotate`](Self::rotate). If the
    /// session got a user with the token, it ends the session, because no other required method can
    /// remove the user.
    fn withdraw(
        &self,
        withdrawals: &[Withdrawal],
        now: DateTime<Utc>,
    ) -> Result<Vec<bool>, StoreError> {
        withdrawals
            .iter()
            .map(|withdrawal| {
                let stored = self.load(&[withdrawal.session_id])?.pop();
                let Some(stored) = stored.filter(|stored| stored.id == withdrawal.id) else {
                    return Ok(false);
                };
                match &withdrawal.previous {
                    Some(previous) if previous.user_id == stored.user_id => {
                        let back = RotateSession {
                            session_id: withdrawal.session_id,
                            new_session_id: previous.session_id,
                            new_token_hash: previous.token_hash,
                            now,
                        };
                        Ok(self.rotate(&[back])? == [true])
                    }
                    _ => Ok(!self
                        .delete(std::slice::from_ref(&withdrawal.id))?
                        .is_empty()),
                }
            })
            .collect()
    }

    /// Returns the time of the database's own clock, or `None` if it has none or always uses this
    /// server's.
    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(None)
    }

    /// Returns when this version took over a database that an earlier version created, or `None` if
    /// it did not. After that, cookies that earlier versions may have issued are accepted.
    fn upgraded_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(None)
    }

    /// Returns how many threads can usefully write at the same time. This is small if writers
    /// exclude each other, as in SQLite.
    fn max_writers(&self) -> usize {
        usize::MAX
    }

    /// Returns the state of the store's pool for metrics, or `None` if there is no pool.
    fn pool(&self) -> Option<PoolState> {
        None
    }

    /// Returns the `DieselStore` that keeps the sessions, if there is one. A store that wraps another
    /// passes the call on. [`Session::login_with`](crate::Session::login_with) requires one.
    #[cfg(feature = "diesel")]
    fn diesel(&self) -> Option<&DieselStore> {
        None
    }

    /// Inserts sessions: a [`write`](Self::write) with only `creates`.
    ///
    /// # Errors
    /// Fails as `write` does.
    fn create(&self, creates: &[NewSession]) -> Result<(), StoreError> {
        let batch = WriteBatch {
            creates,
            ..WriteBatch::default()
        };
        self.write(&batch).map(drop)
    }

    /// Saves data: a [`write`](Self::write) with only `saves`. Returns the outcomes in their order.
    fn save(&self, saves: &[SaveSession]) -> Result<Vec<SaveOutcome>, StoreError> {
        let batch = WriteBatch {
            saves,
            ..WriteBatch::default()
        };
        Ok(self.write(&batch)?.saved)
    }

    /// Touches sessions: a [`write`](Self::write) with only `touches`. Returns the number of
    /// sessions touched.
    fn touch(&self, touches: &[TouchSession]) -> Result<usize, StoreError> {
        let batch = WriteBatch {
            touches,
            ..WriteBatch::default()
        };
        Ok(self.write(&batch)?.touched)
    }
}
