//! Changes of a session's token: [`Session::login`], [`Session::logout`] and [`Session::rotate`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Inner, Session};
use crate::session::codec::TypedData;
use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
#[cfg(feature = "diesel")]
use crate::session::pipeline::UncommittedLogin;
use crate::session::sign_in::Login;
use crate::store::{PendingSignIn, RotateSession, SessionRecord, SignIn};

/// Maximum difference between the clocks of two instances. A login that appears to be later is not
/// recent.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

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
    /// its data could not be decoded and `on_undecodable` is not `"keep"`. Signing in again as the same user is a rotation, even if the
    /// form was sent twice at once. If `max_sessions_per_user` is set, the user's oldest other
    /// sessions end in the same transaction, or the login is refused, depending on
    /// `on_session_limit`.
    ///
    /// If the response becomes a 503 or is never sent, the login is undone: the old cookie is valid
    /// again, and an anonymous session becomes anonymous again. Sessions that ended because of the
    /// limit stay ended. A session replaced by the new one ends when the response is sent.
    ///
    /// A client without cookies gets the new token from the handler, which takes it with
    /// [`token_once`](Self::token_once).
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::http::Status;
    /// use rocket::post;
    /// use rocket_diesel_sessions::Session;
    ///
    /// # async fn authenticate(_: &str) -> Option<i64> { Some(42) }
    /// #[post("/login", data = "<code>")]
    /// async fn login(session: Session<Vec<String>>, code: String) -> Result<Status, Status> {
    ///     let user = authenticate(&code).await.ok_or(Status::Unauthorized)?;
    ///     // A number, a UUID or a text.
    ///     session.login(user).await?;
    ///     Ok(Status::NoContent)
    /// }
    /// ```
    ///
    /// # Errors
    /// - [`SessionError::UserRefused`] if the user does not exist, is disabled, or has a different
    ///   password by now.
    /// - [`SessionError::TooManySessions`] if the limit is reached and logins are refused.
    /// - [`SessionError::Ended`] if this request has already ended its session.
    /// - [`SessionError::Unavailable`] or [`SessionError::Timeout`] if the store failed.
    pub async fn login(&self, login: impl Into<Login>) -> Result<(), SessionError> {
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let prepared = inner.prepare_login(login.into())?;
        let request = prepared.request.clone();
        let (outcome, untold) = inner
            .shared()
            .pipeline
            .login(request, prepared.context.clone())
            .await?;
        inner.signed_in(prepared, &outcome, untold)
    }

    /// Signs a user in like [`login`](Self::login), in the application's own transaction: the login
    /// and the application's rows are committed together, or not at all.
    ///
    /// `commit` receives the login, which it applies to a connection in a transaction, and the latest
    /// time at which it may commit. After that time, no response could deliver the new token. The
    /// connection must be to the database of the sessions, for example from the pool that
    /// [`Sessions::pool`](crate::Sessions::pool) was given. The time limits of that connection apply.
    ///
    /// When this returns `Ok`, the session is signed in. If `commit` fails, nothing is changed, and
    /// the old cookie is valid. If the response becomes a 503 or is never sent, the login is undone as
    /// that of `login` is, but not what the application has committed with it.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel::prelude::*;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use rocket::State;
    /// use rocket::http::Status;
    /// use rocket::tokio::task::spawn_blocking;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// type Failure = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// /// Accepts an invitation: uses it up and signs in its user.
    /// async fn accept(
    ///     session: Session<u64>,
    ///     pool: &State<Pool<ConnectionManager<PgConnection>>>,
    ///     invitation: i32,
    ///     user_id: String,
    /// ) -> Result<(), Failure> {
    ///     let pool = (*pool).clone();
    ///     session
    ///         .login_with(&user_id, |login, _deadline| async move {
    ///             let committed = spawn_blocking(move || {
    ///                 pool.get()?.transaction(|connection| {
    ///                     diesel::sql_query("DELETE FROM invitations WHERE id = $1")
    ///                         .bind::<diesel::sql_types::Integer, _>(invitation)
    ///                         .execute(connection)?;
    ///                     login.apply(connection)?;
    ///                     Ok::<(), Failure>(())
    ///                 })
    ///             });
    ///             committed.await?
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the error of `commit`, which carries those of [`apply`](UncommittedLogin::apply), and
    /// - [`SessionError::NotApplied`] if `commit` returns `Ok` without applying the login;
    /// - [`SessionError::NotDiesel`] if no [`DieselStore`](crate::DieselStore) keeps the sessions;
    /// - [`SessionError::Rotating`] if `commit` uses this session;
    /// - [`SessionError::Ended`] if this request has already ended its session.
    #[cfg(feature = "diesel")]
    pub async fn login_with<T, F, E>(
        &self,
        login: impl Into<Login>,
        commit: impl FnOnce(UncommittedLogin, Instant) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: From<SessionError>,
    {
        let inner = self.inner();
        let _turn = inner.turn().await?;
        let prepared = inner.prepare_login(login.into())?;
        let request = prepared.request.clone();
        let pipeline = &inner.shared().pipeline;
        let sign_in = pipeline.login_with(request, &prepared.context, commit);
        let (done, outcome, untold) = inner.rotating(sign_in).await?;
        inner.signed_in(prepared, &outcome, Some(untold))?;
        Ok(done)
    }

    /// Gives the session a new token and keeps everything else. The old token is invalid at once.
    /// Use this for any change of the session's privileges (OWASP ASVS 5.0, 7.2.4). Does nothing
    /// without a session.
    ///
    /// If the response becomes a 503 or is never sent, the rotation is undone, because the visitor
    /// has only the old cookie. A client without cookies gets the new token from the handler; see
    /// [`token_once`](Self::token_once).
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// async fn become_moderator(session: &Session<Vec<String>>) -> Result<(), SessionError> {
    ///     // Before the session may do more, so that a token known from before may not.
    ///     session.rotate().await
    /// }
    /// ```
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
        let (pipeline, context) = (&inner.shared().pipeline, inner.event_of(&record));
        let rotated = pipeline
            .rotate(Arc::unwrap_or_clone(record), rotation, context)
            .await?;
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
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use rocket::tokio::task::spawn_blocking;
    /// use rocket_diesel_sessions::store::{SessionStore, StoreError};
    /// use rocket_diesel_sessions::{DieselStore, Session, SessionError};
    ///
    /// async fn rotate(
    ///     session: &Session<Vec<String>>,
    ///     store: Arc<DieselStore>,
    /// ) -> Result<(), SessionError> {
    ///     session
    ///         .rotate_with(|rotation, _deadline| async move {
    ///             // In a transaction, with what else has to happen.
    ///             let rotated = spawn_blocking(move || store.rotate(&[rotation])).await;
    ///             match rotated.map_err(StoreError::other)?? {
    ///                 rotated if rotated == [true] => Ok(()),
    ///                 _ => Err(SessionError::Ended),
    ///             }
    ///         })
    ///         .await
    /// }
    /// ```
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
        let (token, rotation) = inner.rotation(&record)?;
        let pipeline = &inner.shared().pipeline;
        let context = inner.event_of(&record);
        let rotate = pipeline.rotate_with(Arc::unwrap_or_clone(record), rotation, &context, commit);
        let untold = inner.rotating(rotate).await?;
        inner.state().rotated(token, untold)?;
        Ok(())
    }

    /// Returns whether the user has signed in within this time (OWASP ASVS 5.0, 7.5.2). Signing in
    /// again as the same user counts, so a page can ask for the password before a sensitive change.
    /// Returns `false` after a login by an earlier version of this library, which did not record
    /// the time.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocket_diesel_sessions::Session;
    /// fn may_change_the_address(session: &Session<u64>) -> bool {
    ///     session.authenticated_within(Duration::from_secs(10 * 60))
    /// }
    /// ```
    pub fn authenticated_within(&self, time: Duration) -> bool {
        let now = self.inner().shared().clock.now();
        self.sign_in().is_some_and(|sign_in| {
            let age = now - sign_in.at;
            match age.to_std() {
                Ok(age) => age <= time,
                // The clock of another instance may be slightly ahead.
                Err(_) => age >= -CLOCKS_DIFFER,
            }
        })
    }

    /// Returns the time and the methods of the sign-in, or `None` if the visitor is not signed in.
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::Session;
    /// fn has_second_factor(session: &Session<u64>) -> bool {
    ///     session.sign_in().is_some_and(|sign_in| sign_in.methods.len() > 1)
    /// }
    /// ```
    pub fn sign_in(&self) -> Option<SignIn> {
        let state = self.inner().state();
        let record = state.record().filter(|record| record.user_id.is_some())?;
        record.sign_in.clone()
    }

    /// Returns the login that awaits a further factor, if there is one and it has not lapsed. It
    /// does not sign the session in; see [`Login::awaiting_factor`](crate::Login::awaiting_factor).
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::Session;
    /// fn asks_for_the_code(session: &Session<u64>) -> bool {
    ///     session.pending_sign_in().is_some()
    /// }
    /// ```
    pub fn pending_sign_in(&self) -> Option<PendingSignIn> {
        let now = self.inner().shared().clock.now();
        let state = self.inner().state();
        let pending = state.record()?.pending.clone()?;
        (now < pending.until).then_some(pending)
    }

    /// Returns when the session's token was issued (at its creation, login or latest rotation), to
    /// the millisecond. [`authenticated_within`](Self::authenticated_within) shows how recent
    /// a login is.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::{TimeDelta, Utc};
    /// use rocket_diesel_sessions::Session;
    ///
    /// /// Returns whether the token should be replaced, so that one that leaked is soon useless.
    /// fn is_old(session: &Session<Vec<String>>) -> bool {
    ///     let limit = Utc::now() - TimeDelta::days(1);
    ///     session.token_issued_at().is_some_and(|issued| issued < limit)
    /// }
    /// ```
    pub fn token_issued_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.session_id()?.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    /// Signs the user out. This is [`destroy`](Self::destroy) under its usual name.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket::response::Redirect;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/logout")]
    /// async fn logout(session: Session<Vec<String>>) -> Result<Redirect, SessionError> {
    ///     session.logout().await?;
    ///     Ok(Redirect::to("/"))
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store failed. The session may then still exist, and the cookie is not removed.
    pub async fn logout(&self) -> Result<(), SessionError> {
        self.destroy().await
    }
}
