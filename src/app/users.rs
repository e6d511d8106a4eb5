//! Users of the application: registering, recognising, changing and deleting them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rocket::http::Status;

use super::accounts::new_user;
use super::audit::{Event, Trail};
use super::config::AppConfig;
use super::counters::{Action, Counters};
use super::error::ApiError;
use super::guesses::{At, Guess, Guesses};
use super::passwords::{Hasher, NewPassword};
use super::username;
use crate::{
    ActingSession, Clock, PasswordChange, SessionAdmin, SessionError, StoreError, UserChange,
    UserRecord, UserStore,
};

pub(super) struct Users {
    store: Arc<dyn UserStore>,
    hasher: Hasher,
    guesses: Guesses,
    clock: Arc<dyn Clock>,
    reauthenticate_after: Duration,
    counters: Arc<Counters>,
    /// Runs the calls of the store.
    sessions: OnceLock<SessionAdmin>,
}

impl Users {
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn new(
        store: Arc<dyn UserStore>,
        clock: Arc<dyn Clock>,
        config: &AppConfig,
        timeout: Duration,
        counters: Arc<Counters>,
    ) -> Result<Self, String> {
        Ok(Self {
            store,
            hasher: Hasher::new(config.hashes_at_once.get(), timeout)?,
            guesses: Guesses::new(config, &clock),
            clock,
            reauthenticate_after: config.reauthenticate_after,
            counters,
            sessions: OnceLock::new(),
        })
    }

    /// Has the session layer run the calls of the store.
    pub(super) fn attach(&self, sessions: SessionAdmin) {
        // Rocket ignites once.
        let _ = self.sessions.set(sessions);
    }

    /// What attempts are counted in.
    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Counts an attempt by what came of it, which is returned.
    pub(super) fn counted<T>(
        &self,
        action: Action,
        attempt: Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.counters.attempt(action, &attempt);
        attempt
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn reauthenticate_after(&self) -> Duration {
        self.reauthenticate_after
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<UserRecord>, SessionError> {
        let id = id.to_owned();
        self.run(move |store| store.user(&id)).await
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When the name or the password is not allowed (422), the name is taken (409), or its address
    /// has asked for too many names that are (429).
    pub(super) async fn register(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, ApiError> {
        let added = self.add(username, password, trail).await;
        self.counted(Action::Register, added)
    }

    async fn add(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, ApiError> {
        let username = username::fold(username).map_err(ApiError::unprocessable)?;
        let password = NewPassword::new(password).map_err(ApiError::unprocessable)?;
        let counted = self.guesses.count_address(trail.ip());
        let counted = counted.map_err(|wait| limited(trail, None, wait))?;
        if self.by_name(&username).await?.is_some() {
            counted.was_wrong();
            return Err(taken(&username));
        }
        let hash = self.hasher.hash(password).await?;
        let user = new_user(username, hash, self.now());
        let new = user.clone();
        if self.run(move |store| store.add_user(&new)).await? {
            trail
                .event(Event::Register)
                .user(&*user.id)
                .by(&user.id)
                .write();
            Ok(user)
        } else {
            counted.was_wrong();
            Err(taken(&user.username))
        }
    }

    /// The user with this name and password. An attempt that fails is counted; one that succeeds is
    /// when the user is signed in.
    ///
    /// # Errors
    /// 401 when there is none, whatever the reason, and at the same cost; 429 after too many.
    pub(super) async fn recognise(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, ApiError> {
        // A name that cannot be is looked for too.
        let username = username::fold(username).unwrap_or_default();
        let found = self.by_name(&username);
        let at = At::User(&username);
        let recognised = self.verify(at, trail, found, password).await;
        match recognised {
            Ok(user) => Ok(user),
            refused => self.counted(Action::Login, refused),
        }
    }

    /// A signed-in user again, by password; `session` is the handle of the session that asks.
    ///
    /// # Errors
    /// As for [`recognise`](Self::recognise).
    pub(super) async fn confirm(
        &self,
        user_id: &str,
        session: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, ApiError> {
        let confirmed = self.check(user_id, session, password, trail).await;
        self.counted(Action::Reauthenticate, confirmed)
    }

    /// Confirms a user as [`confirm`](Self::confirm) does, in an attempt that the caller counts.
    ///
    /// # Errors
    /// As for [`recognise`](Self::recognise).
    pub(super) async fn check(
        &self,
        user_id: &str,
        session: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, ApiError> {
        let found = self.find(user_id);
        let at = At::Session(session);
        let verified = self.verify(at, trail, found, password).await;
        verified.map_err(ApiError::without_username)
    }

    async fn verify(
        &self,
        at: At<'_>,
        trail: Trail,
        found: impl Future<Output = Result<Option<UserRecord>, SessionError>>,
        password: &str,
    ) -> Result<UserRecord, ApiError> {
        let session = match at {
            At::Session(handle) => Some(handle),
            At::User(_) => None,
        };
        let from = trail.ip();
        let counted = self.guesses.count(Guess { at, from });
        let counted = counted.map_err(|wait| limited(trail, session, wait))?;
        let found = found.await?;
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        let is_right = self.hasher.verify(password, hash).await?;
        match found {
            Some(user) if is_right && user.disabled_at.is_none() => Ok(user),
            found => {
                counted.was_wrong();
                // Not the name that was typed: it may be a password.
                let user_id = found.map(|user| user.id);
                let failed = trail.event(Event::LoginFailed);
                failed.user(user_id.as_deref()).session(session).write();
                Err(ApiError::wrong_credentials())
            }
        }
    }

    /// The hash of a password that is chosen.
    ///
    /// # Errors
    /// 422 when it is not allowed.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        let password = NewPassword::new(password).map_err(ApiError::unprocessable)?;
        self.hasher.hash(password).await
    }

    /// Changes the password of a user; returns the handles of the sessions that ended.
    ///
    /// # Errors
    /// When the old password was changed meanwhile (401), or the session that asks has ended (409).
    pub(super) async fn change_password(
        &self,
        change: PasswordChange,
    ) -> Result<Vec<String>, ApiError> {
        done(
            self.run(move |store| store.change_password(&change))
                .await?,
        )
    }

    /// Deletes a user with all sessions, and returns their handles.
    ///
    /// # Errors
    /// When the session that asks has ended (409).
    pub(super) async fn delete(
        &self,
        user_id: &str,
        by: ActingSession,
    ) -> Result<Vec<String>, ApiError> {
        let id = user_id.to_owned();
        done(
            self.run(move |store| store.delete_user(&id, Some(by)))
                .await?,
        )
    }

    /// The user that is called so, however the name is written.
    pub(super) async fn named(&self, username: &str) -> Result<Option<UserRecord>, SessionError> {
        match username::fold(username) {
            Ok(username) => self.by_name(&username).await,
            Err(_) => Ok(None),
        }
    }

    /// The names of users, by id.
    pub(super) async fn names(
        &self,
        ids: HashSet<String>,
    ) -> Result<HashMap<String, String>, SessionError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = Vec::from_iter(ids);
        let users = self.run(move |store| store.users(&ids)).await?;
        let name = |user: UserRecord| (user.id, user.username);
        Ok(users.into_iter().map(name).collect())
    }

    async fn by_name(&self, username: &str) -> Result<Option<UserRecord>, SessionError> {
        let username = username.to_owned();
        self.run(move |store| store.user_by_name(&username)).await
    }

    /// Calls the store as the session layer calls its own: with a deadline, and without waiting for a
    /// database that is known to be down.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn UserStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let store = Arc::clone(&self.store);
        let sessions = self.sessions.get().ok_or(SessionError::NotAttached)?;
        sessions.call(move || call(&*store)).await
    }
}

fn done(change: UserChange) -> Result<Vec<String>, ApiError> {
    match change {
        UserChange::Done(ended) => Ok(ended),
        UserChange::NoUser => Err(ApiError::wrong_credentials()),
        UserChange::SessionEnded => Err(SessionError::Ended.into()),
    }
}

/// The refusal of an attempt that came after too many.
fn limited(trail: Trail, session: Option<&str>, wait: Duration) -> ApiError {
    trail.event(Event::LoginLimited).session(session).write();
    ApiError::too_many_attempts(wait)
}

fn taken(username: &str) -> ApiError {
    let message = format!("username: {username:?} is taken");
    ApiError::new(Status::Conflict, "username_taken", message)
}
