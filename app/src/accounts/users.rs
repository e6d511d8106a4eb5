//! Users of the application: registering, changing and deleting them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::{FindUsers, StoreError, UserPage, UserRecord, UserStore};
use rocket_diesel_sessions::{Clock, SessionAdmin, SessionError, UserId};

use super::error::AccountError;
use super::new_account::new_user;
use super::passwords::recognition::limited;
use super::passwords::throttle::{Counted, Guesses, TOO_MANY_ACCOUNTS, TOO_MANY_TRIES};
use super::passwords::{Hasher, NewPassword, Urgency, refuse_username};
use super::username;
use crate::monitoring::audit::{Event, Trail};
use crate::monitoring::counters::{Action, Attempt, Counters};
use crate::settings::config::AppConfig;

/// The users in a store, with the limits on how often passwords may be tried.
pub(crate) struct Users {
    store: Arc<dyn UserStore>,
    pub(super) hasher: Hasher,
    pub(super) guesses: Guesses,
    clock: Arc<dyn Clock>,
    reauthenticate_after: Duration,
    keep_signed_in: Duration,
    has_registration: bool,
    counters: Arc<Counters>,
    /// Runs the calls of the store.
    sessions: SessionAdmin,
}

impl Users {
    /// Puts users together whose passwords wait at most `timeout` to be hashed.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn new(
        store: Arc<dyn UserStore>,
        clock: Arc<dyn Clock>,
        config: &AppConfig,
        timeout: Duration,
        counters: Arc<Counters>,
        sessions: SessionAdmin,
    ) -> Result<Self, String> {
        Ok(Self {
            store,
            hasher: Hasher::new(config.hashes_at_once.get(), timeout)?,
            guesses: Guesses::new(config, &clock),
            clock,
            reauthenticate_after: config.reauthenticate_after,
            keep_signed_in: config.keep_signed_in,
            has_registration: config.registration,
            counters,
            sessions,
        })
    }

    /// Returns the counters of attempts.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Counts an attempt by its result, which it returns.
    pub(crate) fn counted<T, E>(&self, action: Action, attempt: Result<T, E>) -> Result<T, E>
    where
        for<'e> &'e E: Into<Attempt>,
    {
        let came_to = attempt.as_ref().map_or_else(Into::into, |_| Attempt::Ok);
        self.counters.attempt(action, came_to);
        attempt
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn reauthenticate_after(&self) -> Duration {
        self.reauthenticate_after
    }

    /// Returns how long users stay signed in who ask for it.
    pub(crate) fn keep_signed_in(&self) -> Duration {
        self.keep_signed_in
    }

    /// Returns whether visitors may register.
    pub(crate) fn has_registration(&self) -> bool {
        self.has_registration
    }

    /// Refuses to register visitors where only administrators add users.
    ///
    /// # Errors
    /// When registration is closed.
    pub(crate) fn require_registration(&self) -> Result<(), AccountError> {
        if self.has_registration {
            return Ok(());
        }
        Err(AccountError::RegistrationClosed)
    }

    /// Refuses an attempt to register, and counts it, where only administrators add users.
    ///
    /// # Errors
    /// When registration is closed.
    pub(crate) fn admit_registration(&self) -> Result<(), AccountError> {
        self.require_registration()
            .or_else(|error| self.counted(Action::Register, Err(error)))
    }

    /// Returns the user with this id.
    pub(crate) async fn find(&self, id: &UserId) -> Result<Option<UserRecord>, SessionError> {
        let id = id.clone();
        self.run(move |store| store.user(&id)).await
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When the name or the password is not allowed or the name is taken, and when the address has
    /// made too many accounts or tried too many names that are taken.
    pub(crate) async fn register(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, AccountError> {
        let added = self.add(username, password, trail).await;
        self.counted(Action::Register, added)
    }

    async fn add(
        &self,
        username: &str,
        password: &str,
        trail: Trail,
    ) -> Result<UserRecord, AccountError> {
        let username = username::choose(username)?;
        refuse_username(&username, password)?;
        let password = NewPassword::new(password)?;
        let limited = |what| move |wait| limited(trail, None, what, wait);
        let counted = self.guesses.count_address(trail.ip());
        let counted = counted.map_err(limited(TOO_MANY_TRIES))?;
        // Nor may it be the id of another user: where a name or an id can be given, both are looked
        // up.
        if self.by_name(&username).await?.is_some()
            || self.find(&UserId::from(&username)).await?.is_some()
        {
            counted.stays();
            return Err(AccountError::Taken(username));
        }
        let account = self.guesses.count_registration(trail.ip());
        let account = account.map_err(limited(TOO_MANY_ACCOUNTS))?;
        let hash = self.hasher.hash(password, Urgency::Register).await?;
        let user = new_user(username, hash, self.now());
        let new = user.clone();
        if self.run(move |store| store.add_user(&new)).await? {
            account.stays();
            trail
                .event(Event::Register)
                .user(&user.id)
                .by(&user.id)
                .write();
            Ok(user)
        } else {
            counted.stays();
            Err(AccountError::Taken(user.username))
        }
    }

    /// Counts a wrong administrators' token for its address, as a wrong password is counted.
    ///
    /// # Errors
    /// The time that the address must wait, after too many.
    pub(crate) fn count_wrong_token(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        self.guesses.count_address(from).map(Counted::stays)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// When the password is not allowed.
    pub(super) async fn hash(&self, password: &str) -> Result<String, AccountError> {
        let password = NewPassword::new(password)?;
        self.hasher.hash(password, Urgency::SignIn).await
    }

    /// Returns the user with this name, however it is written.
    pub(crate) async fn named(&self, username: &str) -> Result<Option<UserRecord>, SessionError> {
        match username::fold(username) {
            Ok(username) => self.by_name(&username).await,
            Err(_) => Ok(None),
        }
    }

    /// Returns a page of users.
    pub(crate) async fn page(&self, query: FindUsers) -> Result<UserPage, SessionError> {
        self.run(move |store| store.find_users(&query)).await
    }

    /// Returns the names of users, by id.
    pub(crate) async fn names(
        &self,
        ids: HashSet<UserId>,
    ) -> Result<HashMap<UserId, String>, SessionError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = Vec::from_iter(ids);
        let users = self.run(move |store| store.users(&ids)).await?;
        let name = |user: UserRecord| (user.id, user.username);
        Ok(users.into_iter().map(name).collect())
    }

    pub(super) async fn by_name(&self, username: &str) -> Result<Option<UserRecord>, SessionError> {
        let username = username.to_owned();
        self.run(move |store| store.user_by_name(&username)).await
    }

    /// Calls the store through the session layer: with its deadline, and without waiting for a database
    /// that is known to be down.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn UserStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let store = Arc::clone(&self.store);
        self.sessions.call(move || call(&*store)).await
    }
}
