//! Users of the application: registering, recognising, changing and deleting them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::tokio::sync::Semaphore;
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout;

use super::accounts::new_user;
use super::config::AppConfig;
use super::error::ApiError;
use super::guesses::{Guess, Guesses};
use super::passwords::{Hasher, NewPassword};
use super::username;
use crate::{Clock, SessionError, StoreError, UserRecord, UserStore};

/// Calls of the store at a time.
const CALLS: usize = 2;

pub(super) struct Users {
    store: Arc<dyn UserStore>,
    calls: Arc<Semaphore>,
    timeout: Duration,
    hasher: Hasher,
    guesses: Guesses,
    clock: Arc<dyn Clock>,
    reauthenticate_after: Duration,
}

impl Users {
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn new(
        store: Arc<dyn UserStore>,
        clock: Arc<dyn Clock>,
        config: &AppConfig,
        timeout: Duration,
    ) -> Result<Self, String> {
        Ok(Self {
            store,
            calls: Arc::new(Semaphore::new(CALLS)),
            timeout,
            hasher: Hasher::new(config.hashes_at_once.get(), timeout)?,
            guesses: Guesses::new(config, &clock),
            clock,
            reauthenticate_after: config.reauthenticate_after,
        })
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
    /// When the name or the password is not allowed (422), or the name is taken (409).
    pub(super) async fn register(
        &self,
        username: &str,
        password: &str,
    ) -> Result<UserRecord, ApiError> {
        let username = username::fold(username).map_err(ApiError::unprocessable)?;
        let password = NewPassword::new(password).map_err(ApiError::unprocessable)?;
        if self.by_name(&username).await?.is_some() {
            return Err(taken(&username));
        }
        let hash = self.hasher.hash(password).await?;
        let user = new_user(username, hash, self.now());
        let new = user.clone();
        if self.run(move |store| store.add_user(&new)).await? {
            Ok(user)
        } else {
            Err(taken(&user.username))
        }
    }

    /// The user with this name and password.
    ///
    /// # Errors
    /// 401 when there is none, whatever the reason, and at the same cost; 429 after too many.
    pub(super) async fn recognise(
        &self,
        username: &str,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<UserRecord, ApiError> {
        // A name that cannot be is looked for too.
        let username = username::fold(username).unwrap_or_default();
        self.verify(&username, password, from).await
    }

    /// The signed-in user again, by password.
    ///
    /// # Errors
    /// As for [`recognise`](Self::recognise).
    pub(super) async fn confirm(
        &self,
        user: &UserRecord,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<UserRecord, ApiError> {
        self.verify(&user.username, password, from).await
    }

    async fn verify(
        &self,
        username: &str,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<UserRecord, ApiError> {
        let guess = Guess { username, from };
        self.slow_down(guess)?;
        let found = self.by_name(username).await?;
        let permit = self.hasher.permit().await?;
        // Again, for the guesses that came at the same time and were found wrong meanwhile.
        self.slow_down(guess)?;
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        let is_right = self.hasher.verify(permit, password, hash).await?;
        match found {
            Some(user) if is_right && user.disabled_at.is_none() => Ok(user),
            _ => {
                self.guesses.wrong(guess);
                Err(ApiError::wrong_credentials())
            }
        }
    }

    fn slow_down(&self, guess: Guess<'_>) -> Result<(), ApiError> {
        match self.guesses.wait(guess) {
            Some(wait) => Err(ApiError::too_many_attempts(wait)),
            None => Ok(()),
        }
    }

    /// Changes the password of a user who has just been recognised; ends the user's sessions but
    /// the one with the handle `keep`, and returns their handles.
    ///
    /// # Errors
    /// When the new password is not allowed (422), or the old one was changed meanwhile (401).
    pub(super) async fn change_password(
        &self,
        user: &UserRecord,
        new: &str,
        keep: &str,
    ) -> Result<Vec<String>, ApiError> {
        let new = NewPassword::new(new).map_err(ApiError::unprocessable)?;
        let new = self.hasher.hash(new).await?;
        let (id, old) = (user.id.clone(), user.password_hash.clone());
        let (keep, now) = (keep.to_owned(), self.now());
        self.run(move |store| store.change_password(&id, &old, &new, &keep, now))
            .await?
            .ok_or_else(ApiError::wrong_credentials)
    }

    /// Deletes a user with all sessions, and returns their handles.
    pub(super) async fn delete(&self, user: &UserRecord) -> Result<Vec<String>, SessionError> {
        let id = user.id.clone();
        let ended = self.run(move |store| store.delete_user(&id)).await?;
        Ok(ended.unwrap_or_default())
    }

    async fn by_name(&self, username: &str) -> Result<Option<UserRecord>, SessionError> {
        let username = username.to_owned();
        self.run(move |store| store.user_by_name(&username)).await
    }

    /// Calls the store on a thread made for waiting.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn UserStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let (calls, store) = (Arc::clone(&self.calls), Arc::clone(&self.store));
        let answer = timeout(self.timeout, async move {
            let permit = calls.acquire_owned().await;
            spawn_blocking(move || {
                let _permit = permit;
                call(&*store)
            })
            .await
        });
        match answer.await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(SessionError::Aborted),
            Err(_) => Err(SessionError::Timeout),
        }
    }
}

fn taken(username: &str) -> ApiError {
    let message = format!("username: {username:?} is taken");
    ApiError::new(Status::Conflict, "username_taken", message)
}
