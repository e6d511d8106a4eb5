//! A login that the application commits in its own transaction.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::login::{report, withdrawal};
use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::pipeline::shared::Shared;
use crate::session::pipeline::start::Pipeline;
use crate::session::pipeline::untold::Untold;
use crate::store::{LoginConnection, LoginOutcome, LoginSession, LoginSite};

impl Pipeline {
    /// Signs a user in within the application's own transaction. `commit` receives the login and the
    /// latest time at which it may commit. The token is withdrawn unless a response delivers it.
    ///
    /// # Errors
    /// Returns the error of `commit`, and fails if that returns `Ok` without applying the login.
    pub(crate) async fn login_with<T, F, E>(
        &self,
        mut login: LoginSession,
        context: &EventContext,
        commit: impl FnOnce(UncommittedLogin, Instant) -> F,
    ) -> Result<(T, LoginOutcome, Untold), E>
    where
        F: Future<Output = Result<T, E>>,
        E: From<SessionError>,
    {
        if !login.user_id.is_possible() {
            return Err(SessionError::UserRefused.into());
        }
        let store = self.shared.store.diesel();
        let site = store.ok_or(SessionError::NotDiesel)?.login_site();
        let deadline = self.commit_deadline(self.deadline());
        login.deadline = Some(deadline);
        let uncommitted = UncommittedLogin::new(login.clone(), site, Arc::clone(&self.shared));
        let waiting = Waiting::new(uncommitted.applied());
        let done = commit(uncommitted, deadline).await?;
        let (outcome, untold) = waiting.take().ok_or(SessionError::NotApplied)?;
        report(&self.shared.monitor, &login, &outcome, context);
        Ok((done, outcome, untold.committed()))
    }
}

/// A login that the application commits in its own transaction. See
/// [`Session::login_with`](crate::Session::login_with).
///
/// It can be moved to another thread, such as one of `spawn_blocking`.
pub struct UncommittedLogin {
    request: LoginSession,
    site: LoginSite,
    shared: Arc<Shared>,
    applied: Arc<Mutex<Applied>>,
}

/// The progress of a login.
pub(super) enum Applied {
    NotYet,
    /// Its statements have run in a transaction, which may be committed. Unless the request takes it,
    /// it is undone when the [`UncommittedLogin`] is dropped.
    Done(LoginOutcome, Untold),
    /// The request no longer waits for it.
    TooLate,
}

impl UncommittedLogin {
    pub(super) fn new(request: LoginSession, site: LoginSite, shared: Arc<Shared>) -> Self {
        Self {
            request,
            site,
            shared,
            applied: Arc::new(Mutex::new(Applied::NotYet)),
        }
    }

    pub(super) fn applied(&self) -> Arc<Mutex<Applied>> {
        Arc::clone(&self.applied)
    }

    /// Signs the user in on this connection, which must be to the database of the sessions. All
    /// changes of [`login`](crate::Session::login) become part of the transaction that the connection
    /// is in. Without a transaction, they are committed at once. On SQLite, use
    /// `immediate_transaction`, because a transaction that reads before it writes can fail.
    ///
    /// If the transaction is repeated, apply the login again. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diesel::SqliteConnection;
    /// use rocket_diesel_sessions::{SessionError, UncommittedLogin};
    ///
    /// # #[derive(Debug)]
    /// enum Failure {
    ///     Session(SessionError),
    ///     Database(diesel::result::Error),
    /// }
    /// # impl From<SessionError> for Failure {
    /// #     fn from(error: SessionError) -> Self { Self::Session(error) }
    /// # }
    /// # impl From<diesel::result::Error> for Failure {
    /// #     fn from(error: diesel::result::Error) -> Self { Self::Database(error) }
    /// # }
    ///
    /// fn commit(login: &UncommittedLogin, connection: &mut SqliteConnection) -> Result<(), Failure> {
    ///     connection.immediate_transaction(|connection| {
    ///         // The statements of the application.
    ///         login.apply(connection)?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Roll the transaction back after an error. Fails as `login` does, and with
    /// - [`SessionError::Refused`] if the connection is to the other kind of database;
    /// - [`SessionError::Aborted`] if the request no longer waits for the login.
    pub fn apply(&self, connection: &mut impl LoginConnection) -> Result<(), SessionError> {
        self.begin()?;
        let (outcome, before) = self.site.login(connection, &self.request)?;
        match outcome {
            LoginOutcome::UserRefused => {
                return Err(SessionError::user_refused(&self.request.user_id));
            }
            LoginOutcome::LimitReached => return Err(SessionError::TooManySessions),
            LoginOutcome::Bound(_) | LoginOutcome::Created(_) => {}
        }
        let withdrawal = withdrawal(&self.request, before.map(Box::new));
        let untold = self.shared.attempt(withdrawal);
        let mut applied = self.applied.lock();
        if matches!(*applied, Applied::TooLate) {
            return Err(SessionError::Aborted);
        }
        *applied = Applied::Done(outcome, untold);
        Ok(())
    }

    /// Forgets that the login was applied before, in a transaction that was rolled back.
    ///
    /// # Errors
    /// Fails if the request no longer waits.
    fn begin(&self) -> Result<(), SessionError> {
        let mut applied = self.applied.lock();
        if matches!(*applied, Applied::TooLate) {
            return Err(SessionError::Aborted);
        }
        if let Applied::Done(_, untold) = mem::replace(&mut *applied, Applied::NotYet) {
            untold.not_made();
        }
        Ok(())
    }
}

/// Shows only the user's id.
impl fmt::Debug for UncommittedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UncommittedLogin({:?}, ..)", self.request.user_id)
    }
}

/// A request that waits for its login. Once it is dropped, the login cannot be applied.
pub(super) struct Waiting(Arc<Mutex<Applied>>);

impl Waiting {
    pub(super) fn new(applied: Arc<Mutex<Applied>>) -> Self {
        Self(applied)
    }

    /// Returns the login that was applied, if any.
    pub(super) fn take(self) -> Option<(LoginOutcome, Untold)> {
        match mem::replace(&mut *self.0.lock(), Applied::TooLate) {
            Applied::Done(outcome, untold) => Some((outcome, untold)),
            Applied::NotYet | Applied::TooLate => None,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut applied = self.0.lock();
        if matches!(*applied, Applied::NotYet) {
            *applied = Applied::TooLate;
        }
    }
}
