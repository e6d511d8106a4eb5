//! [`Sessions::testing`](super::Sessions::testing) and its handle, for the tests of an application.

mod client;
mod link;
mod sign_in;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rocket::http::Cookie;

use self::client::sealed::Presented;
pub use self::client::{TestClient, TestVisitor};
pub(super) use self::link::Link;
use self::sign_in::Asked;
use super::clock::Clock;
use super::codec::{Codec, TypedData};
use super::cookie::keys::SessionKeys;
use super::error::SessionError;
use super::expiry::is_expired;
use super::fairing::shared::Shared;
use super::guard::token::BearerToken;
use super::sign_in::Login;
use crate::store::{SessionRecord, StoreError};
use crate::testing::{ManualClock, MemoryStore};

/// The handle of a test on the sessions of its application, from
/// [`Sessions::testing`](crate::Sessions::testing).
///
/// `login_as` and `data` take a client of Rocket's `local` module, asynchronous or blocking. A
/// tracked client stands for one visitor. With an untracked client, the cookie that `login_as`
/// returns stands for the visitor.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use rocket::local::blocking::Client;
/// use rocket::{post, routes};
/// use rocket_diesel_sessions::{SessionError, Sessions, SignedIn};
///
/// type Cart = Vec<String>;
///
/// #[post("/cart/<item>")]
/// async fn add(session: SignedIn<Cart>, item: String) -> Result<(), SessionError> {
///     session.update(move |cart| cart.push(item.clone())).await
/// }
///
/// # fn main() -> Result<(), SessionError> {
/// let (sessions, test) = Sessions::<Cart>::testing();
/// let application = rocket::build().attach(sessions).mount("/", routes![add]);
/// let client = Client::tracked(application).unwrap();
///
/// assert_eq!(client.post("/cart/pen").dispatch().status().code, 401);
/// test.login_as(&client, "ada")?;
/// assert_eq!(client.post("/cart/pen").dispatch().status().code, 200);
/// assert_eq!(test.data::<Cart>(&client), Some(vec!["pen".to_owned()]));
///
/// // The idle timeout is a day.
/// test.advance(Duration::from_secs(25 * 3600));
/// assert_eq!(client.post("/cart/ink").dispatch().status().code, 401);
/// assert_eq!(test.data::<Cart>(&client), None);
/// # Ok(())
/// # }
/// ```
pub struct TestSessions<D> {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    /// `None` if the system has no random numbers.
    keys: Option<SessionKeys>,
    link: Link,
    marker: PhantomData<fn() -> D>,
}

impl<D: TypedData> TestSessions<D> {
    /// Signs the client's visitor in, as a handler that calls
    /// [`Session::login`](crate::Session::login) does, and returns the session's cookie. Returns a
    /// future of the result for an asynchronous client, and the result for a blocking one.
    ///
    /// The fairings of the application see a `GET` request with a path of this handle's own.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::local::asynchronous::Client;
    /// use rocket_diesel_sessions::{Login, SessionError, Sessions};
    ///
    /// # rocket::async_test(async {
    /// let (sessions, test) = Sessions::<u64>::testing();
    /// let client = Client::untracked(rocket::build().attach(sessions)).await.unwrap();
    /// let ada = test.login_as(&client, "ada").await?;
    /// let bob = test.login_as(&client, Login::new("bob").method("pwd")).await?;
    /// let answer = client.get("/").cookie(ada.clone()).dispatch().await;
    /// assert_eq!(test.record(&ada).unwrap().user_id, Some("ada".into()));
    /// # Ok::<_, SessionError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Fails as `Session::login` does. Returns [`SessionError::NotAttached`] if the client's Rocket
    /// does not have this handle's fairing, or if a fairing of the application has prevented the
    /// request. Returns [`SessionError::Aborted`] if the response has no cookie, because it became a
    /// 503 or the settings allow only bearer tokens.
    pub fn login_as<'c, C: TestClient>(
        &self,
        client: &'c C,
        login: impl Into<Login>,
    ) -> C::Reply<'c, Result<Cookie<'static>, SessionError>> {
        let asked = Asked::new(login.into(), false);
        client.send(self.link.path(), asked, self.cookie_name(), Asked::cookie)
    }

    /// Signs in a client without cookies, and returns its bearer token, as a handler does that calls
    /// [`Session::token_once`](crate::Session::token_once). Like `login_as`, it returns a future for
    /// an asynchronous client.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::http::Header;
    /// use rocket::local::blocking::Client;
    /// use rocket_diesel_sessions::{SessionConfig, SessionError, Sessions, Transport};
    ///
    /// # fn main() -> Result<(), SessionError> {
    /// let mut config = SessionConfig::default();
    /// config.transport = Transport::Bearer;
    /// let (sessions, test) = Sessions::<u64>::testing();
    /// let client = Client::untracked(rocket::build().attach(sessions.config(config))).unwrap();
    /// let token = test.token_as(&client, "ada")?;
    /// let header = Header::new("Authorization", format!("Bearer {}", token.expose()));
    /// client.get("/").header(header).dispatch();
    /// assert_eq!(test.data::<u64>(&token), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails as `login_as` does. Returns [`SessionError::Aborted`] if the settings have no bearer
    /// tokens.
    pub fn token_as<'c, C: TestClient>(
        &self,
        client: &'c C,
        login: impl Into<Login>,
    ) -> C::Reply<'c, Result<BearerToken, SessionError>> {
        let asked = Asked::new(login.into(), true);
        client.send(self.link.path(), asked, self.cookie_name(), Asked::bearer)
    }

    /// Returns the data of a visitor's session as it is stored, or `None` if there is no live
    /// session. The visitor is a client, a cookie or a bearer token. `T` is the type of the
    /// session's data, or another that its JSON can be read as.
    ///
    /// An error of the store, and data that cannot be read as `T`, are logged, and the result is
    /// `None`. Data of an older version of the type is not upgraded.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::local::blocking::Client;
    /// use rocket_diesel_sessions::{SessionError, Sessions};
    ///
    /// # fn main() -> Result<(), SessionError> {
    /// let (sessions, test) = Sessions::<u64>::testing();
    /// let client = Client::tracked(rocket::build().attach(sessions)).unwrap();
    /// assert_eq!(test.data::<u64>(&client), None);
    /// test.login_as(&client, "ada")?;
    /// assert_eq!(test.data::<u64>(&client), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<T: TypedData>(&self, visitor: &impl TestVisitor) -> Option<T> {
        let record = self.record(visitor)?;
        match Codec::<T>::unversioned().read(&record.data) {
            Ok(read) => Some(read.data),
            Err(fault) => {
                let name = std::any::type_name::<T>();
                let reason = fault.reason;
                tracing::error!("the data of session {} is no {name}: {reason}", record.id);
                None
            }
        }
    }

    /// Returns a visitor's session as it is stored, or `None` if there is no live one. The visitor is
    /// a client, a cookie or a bearer token. An error of the store is logged, and the result is
    /// `None`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::local::blocking::Client;
    /// use rocket_diesel_sessions::{SessionError, Sessions};
    ///
    /// # fn main() -> Result<(), SessionError> {
    /// let (sessions, test) = Sessions::<u64>::testing();
    /// let client = Client::tracked(rocket::build().attach(sessions)).unwrap();
    /// test.login_as(&client, 42)?;
    /// let record = test.record(&client).unwrap();
    /// assert_eq!(record.user_id, Some("42".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn record(&self, visitor: &impl TestVisitor) -> Option<SessionRecord> {
        let shared = self.shared()?;
        let presented = visitor.presented(shared.cookie.name())?;
        shared.stored(&presented).unwrap_or_else(|error| {
            tracing::error!("the session of a test cannot be read: {error}");
            None
        })
    }

    /// Moves the clock forward. Touches that are not yet written count with their own time, so a
    /// session that is used in time is not lost.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let (_sessions, test) = Sessions::<u64>::testing();
    /// let before = test.now();
    /// test.advance(Duration::from_secs(60));
    /// assert_eq!((test.now() - before).num_seconds(), 60);
    /// ```
    pub fn advance(&self, by: Duration) {
        self.clock
            .advance(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    }

    /// Returns the time that the clock shows.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let (_sessions, test) = Sessions::<u64>::testing();
    /// assert_eq!(test.now(), test.now());
    /// ```
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Returns the clock, for other parts of the application.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rocket_diesel_sessions::{Clock, Sessions};
    ///
    /// let (_sessions, test) = Sessions::<u64>::testing();
    /// let clock: Arc<dyn Clock> = test.clock().clone();
    /// assert_eq!(clock.now(), test.now());
    /// ```
    pub const fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Returns the store in memory. It is empty if the fairing was given another.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let (_sessions, test) = Sessions::<u64>::testing();
    /// test.store().add_user("ada", "$argon2id$v=19$…");
    /// ```
    pub const fn store(&self) -> &Arc<MemoryStore> {
        &self.store
    }

    /// Waits until everything that earlier requests have left behind is written: activity, changes
    /// that no one waits for any more, and withdrawals of tokens that no response delivered.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::local::asynchronous::Client;
    /// use rocket_diesel_sessions::store::{ListSessions, SessionStore};
    /// use rocket_diesel_sessions::{SessionError, Sessions};
    ///
    /// # rocket::async_test(async {
    /// let (sessions, test) = Sessions::<u64>::testing();
    /// let client = Client::tracked(rocket::build().attach(sessions)).await.unwrap();
    /// test.login_as(&client, "ada").await?;
    /// test.settle().await?;
    /// assert_eq!(test.store().list(&ListSessions::new(test.now(), 10)).unwrap().len(), 1);
    /// # Ok::<_, SessionError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Timeout`] if that takes longer than the setting `timeout`.
    pub async fn settle(&self) -> Result<(), SessionError> {
        match self.shared() {
            Some(shared) => shared.pipeline.settle().await,
            None => Ok(()),
        }
    }

    /// Waits like [`settle`](Self::settle), in a test with a blocking client.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let (_sessions, test) = Sessions::<u64>::testing();
    /// assert!(test.settle_blocking().is_ok());
    /// ```
    ///
    /// # Errors
    /// Fails as `settle` does.
    pub fn settle_blocking(&self) -> Result<(), SessionError> {
        match self.shared() {
            Some(shared) => shared.pipeline.settle_blocking(),
            None => Ok(()),
        }
    }

    fn cookie_name(&self) -> String {
        let shared = self.shared();
        shared.map_or_else(String::new, |it| it.cookie.name().to_owned())
    }

    /// Returns the state of the Rocket, if it is ignited and not yet dropped.
    fn shared(&self) -> Option<Arc<Shared>> {
        self.link.shared()
    }
}

impl Shared {
    /// Returns the live session of a cookie or a token, read from the store at once.
    fn stored(&self, presented: &Presented) -> Result<Option<SessionRecord>, StoreError> {
        let opened = match presented {
            Presented::Cookie(value) => self.seal.open(value),
            Presented::Bearer(token) => self.bearer_seal.open(token),
        };
        let Some(opened) = opened else {
            return Ok(None);
        };
        let record = self.pipeline.peek(opened.token.session_id())?;
        let record = self.judge(&opened, record).ok();
        let live = record.filter(|record| !is_expired(record, self.clock.now()));
        Ok(live.map(Arc::unwrap_or_clone))
    }
}

impl<D> Clone for TestSessions<D> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
            link: self.link.clone(),
            marker: PhantomData,
        }
    }
}

impl<D> fmt::Debug for TestSessions<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSessions")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
