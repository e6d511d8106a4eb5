//! Changes of a session's token: [`Session::login`], [`Session::logout`] and [`Session::rotate`].

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::{Inner, Session};
use crate::session::codec::{self, TypedData};
use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
use crate::store::{
    BindSession, EndReason, LoginOutcome, LoginSession, RotateSession, SessionRecord,
};

/// The user to be signed in, and a condition that must still hold when the login is committed.
///
/// # Example
///
/// ```no_run
/// # use rocket_diesel_sessions::{Login, Session, SessionError};
/// # use rocket_diesel_sessions::store::UserRecord;
/// # async fn sign_in(session: Session<u64>, user: UserRecord) -> Result<(), SessionError> {
/// // However the user was authenticated:
/// session.login(&user.id).await?;
/// // By a password that was checked against this hash:
/// session.login(Login::new(&user.id).verified_against(&user.password_hash)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Login {
    user_id: String,
    password_hash: Option<String>,
}

impl Login {
    /// Creates a login of the user with this id in the table `users`.
    pub fn new(user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            password_hash: None,
        }
    }

    /// Refuses the login if the user's password hash has changed. Without this, a login in progress
    /// while the password is changed would survive the change (OWASP ASVS 5.0, 7.4.3).
    #[must_use]
    pub fn verified_against(mut self, password_hash: impl Into<String>) -> Self {
        self.password_hash = Some(password_hash.into());
        self
    }
}

impl<T: Into<String>> From<T> for Login {
    fn from(user_id: T) -> Self {
        Self::new(user_id)
    }
}

/// Shows only the user's id.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({:?}, ..)", self.user_id)
    }
}

/// Returns whether the session belongs to a different user.
fn is_of_another(record: &SessionRecord, login: &Login) -> bool {
    let user_id = record.user_id.as_ref();
    user_id.is_some_and(|user_id| *user_id != login.user_id)
}

impl<D> Inner<D> {
    /// Generates a new token for this session, and the rotation for the store.
    fn rotation(&self, record: &SessionRecord) -> Result<(Token, RotateSession), SessionError> {
        let now = self.shared().clock.now();
        let token = Token::generate(now)?;
        let rotation = RotateSession {
            session_id: record.session_id,
            new_session_id: token.session_id(),
            new_token_hash: token.hash(),
            now,
        };
        Ok((token, rotation))
    }
}

impl<D: TypedData> Session<D> {
    /// Signs a user in. The session gets a new token and keeps its data, and the old token is
    /// invalid at once (OWASP ASVS 5.0, 7.2.4). Creates the session if there is none.
    ///
    /// If the session belongs to another user, it ends, and the user gets a new one with
    /// `D::default()`. The same happens if the anonymous session was ended in the meantime, or if
    /// its data could not be decoded. Signing in again as the same user is a rotation, even if the
    /// form was sent twice at once. If `max_sessions_per_user` is set, the user's oldest other
    /// sessions end in the same transaction, or the login is refused, depending on
    /// `on_session_limit`.
    ///
    /// If the response becomes a 503 or is never sent, the login is undone: the old cookie is valid
    /// again, and an anonymous session becomes anonymous again. Sessions that ended because of the
    /// limit stay ended. A session replaced by the new one ends when the response is sent.
    ///
    /// # Errors
    /// - [`SessionError::UserRefused`] if the user does not exist, is disabled, or has a different
    ///   password by now.
    /// - [`SessionError::TooManySessions`] if the limit is reached and logins are refused.
    /// - [`SessionError::Ended`] if this request has already ended its session.
    /// - [`SessionError::Unavailable`] or [`SessionError::Timeout`] if the store failed.
    pub async fn login(&self, login: impl Into<Login>) -> Result<(), SessionError> {
        let login = login.into();
        if login.user_id.contains('\0') {
            return Err(SessionError::UserRefused);
        }
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let record = inner.record()?;
        // Sessions that must not outlive the new token. They end just before the visitor receives
        // it, because until then the visitor has only their cookie.
        let (record, mut replaced) = match record {
            Some(record) if is_of_another(&record, &login) => (None, vec![record.id]),
            record => (record, Vec::new()),
        };
        {
            let state = inner.state();
            state.check_open()?;
            replaced.extend(state.undecodable.clone());
        }
        let shared = inner.shared();
        // Read again, so that a session that has expired since the request arrived is not signed
        // in.
        let now = shared.clock.now();
        let deadline = shared.pipeline.deadline();
        let token = Token::generate(now)?;
        let data = D::default();
        let json = codec::encode(&data, shared.max_data_size)?;
        let fresh = inner.new_session(&token, Some(login.user_id.clone()), json, now);
        let bind = record.as_ref().map(|record| BindSession {
            id: record.id.clone(),
            session_id: record.session_id,
            expires_at: fresh.expires_at,
            absolute_expires_at: fresh.absolute_expires_at,
        });
        let request = LoginSession {
            user_id: login.user_id,
            password_hash: login.password_hash,
            session: bind,
            fresh: fresh.clone(),
            limit: shared.session_limit,
            deadline: Some(shared.pipeline.commit_deadline(deadline)),
        };
        let (kept, made) = (
            record.as_ref().map(|record| record.id.clone()),
            fresh.id.clone(),
        );
        let (monitor, user_id) = (Arc::clone(&shared.monitor), request.user_id.clone());
        // Called on the login's thread, so that the login is recorded even if the request has
        // stopped waiting.
        let done = move |outcome: &LoginOutcome| {
            let ended = match outcome {
                LoginOutcome::Bound(ended) => {
                    if let Some(kept) = &kept {
                        monitor.rotated(kept);
                    }
                    ended
                }
                LoginOutcome::Created(ended) => {
                    monitor.created([made.as_str()].into_iter());
                    ended
                }
                _ => return,
            };
            monitor.ended(ended, EndReason::Replaced);
            monitor.metrics.logins.inc();
            monitor.usage.seen(&user_id, now);
        };
        let (outcome, untold) = shared.pipeline.login(request, deadline, done).await?;
        let mut state = inner.state();
        match (outcome, record, untold) {
            (LoginOutcome::Bound(_), Some(record), Some(untold)) => {
                state.bound(record, fresh, token, untold)?;
            }
            (LoginOutcome::UserRefused, ..) => return Err(SessionError::UserRefused),
            (LoginOutcome::LimitReached, ..) => return Err(SessionError::TooManySessions),
            (.., Some(untold)) => {
                let record = fresh.into_record();
                state.created(record, Arc::new(data), token, untold)?;
            }
            // Unreachable: a committed login has a token to deliver.
            (.., None) => return Err(SessionError::Aborted),
        }
        state.undecodable = None;
        state.replaced.extend(replaced);
        Ok(())
    }

    /// Gives the session a new token and keeps everything else. The old token is invalid at once.
    /// Use this for any change of the session's privileges (OWASP ASVS 5.0, 7.2.4). Does nothing
    /// without a session.
    ///
    /// If the response becomes a 503 or is never sent, the rotation is undone, because the visitor
    /// has only the old cookie.
    ///
    /// # Errors
    /// Fails as [`update`](Self::update) does.
    pub async fn rotate(&self) -> Result<(), SessionError> {
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let Some(record) = inner.record()? else {
            return Ok(());
        };
        inner.state().check_open()?;
        let (token, rotation) = inner.rotation(&record)?;
        let rotated = inner.shared().pipeline.rotate(record, rotation).await?;
        let mut state = inner.state();
        let Some(untold) = rotated else {
            state.found_ended();
            return Err(SessionError::Ended);
        };
        state.rotated(token, untold)
    }

    /// Gives the session a new token in the application's own transaction. `commit` receives the
    /// rotation and the latest time at which it may be committed, and returns whether it was. After
    /// that time, no response could deliver the new token.
    ///
    /// # Errors
    /// Returns the error of `commit`, and [`SessionError::Ended`] without a session.
    pub async fn rotate_with<F, E>(
        &self,
        commit: impl FnOnce(RotateSession, Instant) -> F,
    ) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>>,
        E: From<SessionError>,
    {
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let record = inner.record()?.ok_or(SessionError::Ended)?;
        inner.state().check_open()?;
        let (pipeline, id) = (&inner.shared().pipeline, record.id.clone());
        let deadline = pipeline.commit_deadline(pipeline.deadline());
        let (token, rotation) = inner.rotation(&record)?;
        // Dropped, and thereby undone, if `commit` fails, because it may have committed
        // nevertheless.
        let attempt = pipeline.attempt(record, &rotation);
        inner.rotating(commit(rotation, deadline)).await?;
        inner.state().rotated(token, attempt.committed())?;
        inner.shared().monitor.rotated(&id);
        Ok(())
    }

    /// Returns when the session's token was issued (at its creation, login or latest rotation), to
    /// the millisecond. If these happen only when the user gives a password, this is the time of
    /// the last password check (OWASP ASVS 5.0, 7.5.2).
    pub fn token_issued_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.session_id()?.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    /// Signs the user out. This is [`destroy`](Self::destroy) under its usual name.
    ///
    /// # Errors
    /// Fails if the store failed. The session may then still exist, and the cookie is not removed.
    pub async fn logout(&self) -> Result<(), SessionError> {
        self.destroy().await
    }
}
