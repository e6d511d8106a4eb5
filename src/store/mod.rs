//! Where sessions are kept: the [`SessionStore`] trait and its Diesel implementation.
//!
//! Nothing here knows of HTTP, cookies or the type of the data. What is specific to one database
//! is in the file of its name.

mod error;
mod login;
mod options;
mod outcome;
mod record;
mod request;
mod sign_in;
mod sql;
mod stats;
mod url;
mod users;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use error::StoreError;
pub use login::{
    ActingSession, BindSession, LoginOutcome, LoginSession, OnSessionLimit, Revocation,
    RevokeScope, SessionLimit,
};
pub(crate) use options::patience;
pub use options::{SchemaName, SqliteSynchronous, StoreOptions, UserSource};
pub use outcome::{
    DeleteOutcome, PoolState, RotateOutcome, SaveOutcome, SweepOutcome, WriteOutcome,
};
pub use record::{NewSession, SessionRecord, TokenHash};
pub use request::{
    ListSessions, RotateSession, SaveSession, SweepBatch, TouchSession, Withdrawal, WriteBatch,
};
pub use sign_in::{Lifetime, PendingSignIn, SignIn};
pub(crate) use sql::connect::bounded;
pub use sql::listing::SessionFilter;
pub use sql::store::DieselStore;
pub use stats::{Census, EndCounts, EndReason, HourStats, StatsStore, SweepRecord, UsageDelta};
pub use url::DatabaseUrl;
pub use users::{LastAdmin, PasswordChange, UserOutcome, UserRecord, UserStore};

/// Keeps sessions: what the `Store` interface is to express-session.
///
/// The verbs are synchronous, because Diesel is, and take batches, because a batch costs one
/// statement and one commit; the caller decides how many threads do. A call is atomic: an
/// error means that none of it was written, unless the error is [`StoreError::Broken`] or
/// [`StoreError::Other`], after which it is unknown. What each error does to a request is listed at
/// [`StoreError`].
///
/// Only the `creates` of a batch insert. All else leaves a session alone that is gone: this is
/// what keeps a session that was ended from coming back.
pub trait SessionStore: Send + Sync + 'static {
    /// Loads the sessions with these lookup ids, each once, in no particular order; absent ones
    /// are left out. Expired ones are not: whether a session may be served is the caller's to
    /// judge.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError>;

    /// The session with this public handle, expired or not.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn find(&self, id: &str) -> Result<Option<SessionRecord>, StoreError>;

    /// Inserts, saves and touches, all in one transaction.
    ///
    /// A save needs the version that it was made from; of several saves of one session, the first
    /// counts. A touch may be left undone where it would have to wait for another transaction.
    ///
    /// # Errors
    /// When the database fails or cannot be reached; [`StoreError::Constraint`] when an id is
    /// taken or a user does not exist.
    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError>;

    /// Gives sessions a new token; for each, whether it was there.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError>;

    /// Signs a user in, in one transaction: checks the user and the limit of sessions, and gives
    /// the user the visitor's session under a new token, or a new session. The old token is dead
    /// then, and the data of a session that is kept is untouched.
    ///
    /// # Errors
    /// When the database fails or cannot be reached, or it was not done by its deadline.
    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError>;

    /// Signs a user in as [`login`](Self::login) does; also returns the session that was bound, as it
    /// was before. The default reads it just before the login.
    ///
    /// # Errors
    /// As for `login`.
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

    /// Deletes sessions of one user only; returns the public handles of those that
    /// were there, `None` when the session that asks for it has ended.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<String>>, StoreError>;

    /// Deletes the sessions with these public handles; returns those that were there.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError>;

    /// Deletes at most `limit` of the sessions created by `now`; returns their public handles. None
    /// means that none is left.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<String>, StoreError>;

    /// One page of live sessions, newest token first.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError>;

    /// Deletes a batch of expired sessions, leaving out those that another sweep or a request holds.
    /// None deleted means that there is nothing left to do.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError>;

    /// Asks the database for a sign of life, with one statement.
    ///
    /// # Errors
    /// When it gives none.
    fn ping(&self) -> Result<(), StoreError>;

    /// Finds out whether the database can be reached again, after it could not. The default asks for
    /// a sign of life.
    ///
    /// # Errors
    /// When it cannot.
    fn probe(&self) -> Result<(), StoreError> {
        self.ping()
    }

    /// Gives sessions a new token without waiting for rows that another transaction holds for long.
    /// The default waits as [`rotate`](Self::rotate) does.
    ///
    /// # Errors
    /// As for `rotate`.
    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        let rotated = self.rotate(rotations)?;
        Ok(rotated.into_iter().map(RotateOutcome::of).collect())
    }

    /// Deletes sessions by public handle without waiting for rows that another transaction holds
    /// for long. The default waits as [`delete`](Self::delete) does.
    ///
    /// # Errors
    /// As for `delete`.
    fn try_delete(&self, ids: &[String]) -> Result<DeleteOutcome, StoreError> {
        let held = Vec::new();
        let ended = self.delete(ids)?;
        Ok(DeleteOutcome { ended, held })
    }

    /// Takes back tokens that never reached their visitors; returns, for each, whether it was
    /// still the session's.
    ///
    /// The default restores a token with [`rotate`](Self::rotate). It ends a session that has got
    /// a user with the token, since no other required method can take the user away again.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
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

    /// The database's own clock; `None` where it has none, or one that is always the server's.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(None)
    }

    /// How many threads can usefully write at the same time. Few where writers exclude each
    /// other, as in SQLite.
    fn max_writers(&self) -> usize {
        usize::MAX
    }

    /// Connections of the store's pool, for metrics; `None` where there is no pool.
    fn pool(&self) -> Option<PoolState> {
        None
    }

    /// [`write`](Self::write) of nothing but new sessions.
    ///
    /// # Errors
    /// As for `write`.
    fn create(&self, creates: &[NewSession]) -> Result<(), StoreError> {
        let batch = WriteBatch {
            creates,
            ..WriteBatch::default()
        };
        self.write(&batch).map(drop)
    }

    /// [`write`](Self::write) of nothing but data; outcomes are in the order of `saves`.
    ///
    /// # Errors
    /// As for `write`.
    fn save(&self, saves: &[SaveSession]) -> Result<Vec<SaveOutcome>, StoreError> {
        let batch = WriteBatch {
            saves,
            ..WriteBatch::default()
        };
        Ok(self.write(&batch)?.saved)
    }

    /// [`write`](Self::write) of nothing but activity; returns how many sessions were touched.
    ///
    /// # Errors
    /// As for `write`.
    fn touch(&self, touches: &[TouchSession]) -> Result<usize, StoreError> {
        let batch = WriteBatch {
            touches,
            ..WriteBatch::default()
        };
        Ok(self.write(&batch)?.touched)
    }
}
