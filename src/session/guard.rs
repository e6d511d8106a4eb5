//! [`Session`]: the request guard and a handler's operations on its session.

pub(super) mod access;
pub(super) mod activity;
pub(super) mod login;
pub(super) mod state;
mod watch;
pub(super) mod write;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use rocket::tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use rocket::tokio::time::timeout_at;
use uuid::Uuid;

use self::state::{Phase, State};
use super::codec::TypedData;
use super::cookie::token::Token;
use super::error::SessionError;
use super::request::RequestContext;
use super::shared::Shared;
use crate::store::{EndReason, Lifetime, NewSession, SessionHandle, SessionRecord, UserId};

/// The visitor's session, with data of type `D`.
///
/// As a request guard, it loads the session once per request, however often it is asked for, and
/// succeeds whether or not there is one. It fails, with 503, only if the store fails. The first
/// [`update`](Self::update) or [`set`](Self::set) creates a session and sends the cookie.
///
/// Operations that access the database are `async` and return a `Result`; `Ok` means committed. The
/// launch fails if [`Sessions<D>`](crate::Sessions) is not attached.
///
/// # Example
///
/// ```
/// use rocket::{get, serde::{Deserialize, Serialize}};
/// use rocket_diesel_sessions::{Session, SessionError};
///
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(crate = "rocket::serde", default)]
/// struct Visits {
///     count: u64,
/// }
///
/// #[get("/")]
/// async fn visit(session: Session<Visits>) -> Result<String, SessionError> {
///     let count = session.update(|visits| {
///         visits.count += 1;
///         visits.count
///     });
///     Ok(format!("visit number {}", count.await?))
/// }
/// ```
///
/// Its clones are the same session, so that a responder or a task can have one while the handler
/// keeps its own:
///
/// ```
/// use rocket::get;
/// use rocket_diesel_sessions::{Session, SessionError};
///
/// # struct Page(Session<u64>);
/// # impl<'r> rocket::response::Responder<'r, 'static> for Page {
/// #     fn respond_to(self, r: &'r rocket::Request<'_>) -> rocket::response::Result<'static> {
/// #         self.0.data().to_string().respond_to(r)
/// #     }
/// # }
/// #[get("/")]
/// async fn page(session: Session<u64>) -> Result<Page, SessionError> {
///     let page = Page(session.clone());
///     session.update(|visits| *visits += 1).await?;
///     Ok(page)
/// }
/// ```
pub struct Session<D> {
    pub(super) inner: Arc<Inner<D>>,
}

impl<D> Clone for Session<D> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

rocket::tokio::task_local! {
    /// The session that the running task is rotating in its own transaction.
    static ROTATING: usize;
}

/// A request's session, shared by all of the request's guards and the fairing.
pub(crate) struct Inner<D> {
    pub(super) shared: Arc<Shared>,
    pub(super) context: RequestContext,
    /// Handles of other sessions, live or expired, whose tokens the request brought.
    pub(super) others: Vec<SessionHandle>,
    /// The error of decoding the visitor's data, if `on_undecodable` makes it one.
    pub(super) undecodable: Option<SessionError>,
    /// Whether the handler got `D::default()` instead of such data.
    pub(super) is_data_missed: AtomicBool,
    /// Serializes the operations of one request.
    pub(super) turn: AsyncMutex<()>,
    pub(super) state: Mutex<State<D>>,
}

impl<D: TypedData> Session<D> {
    /// Returns the data as this request last saw it: as loaded, or as left by the request's last
    /// update. For a visitor without a session, it is `D::default()`.
    ///
    /// If `on_undecodable` is `"error"` and the visitor's data could not be decoded, this returns
    /// `D::default()`, and a successful response is replaced by an empty 500, because the handler
    /// has acted on data that is not the visitor's. With [`try_data`](Self::try_data), the handler
    /// can respond itself.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rocket::{get, serde::{Deserialize, Serialize, json::Json}};
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Cart {
    ///     items: Vec<String>,
    /// }
    ///
    /// #[get("/cart")]
    /// fn cart(session: Session<Cart>) -> Json<Arc<Cart>> {
    ///     Json(session.data())
    /// }
    ///
    /// #[get("/cart/size")]
    /// fn size(session: Session<Cart>) -> String {
    ///     session.data().items.len().to_string()
    /// }
    /// ```
    pub fn data(&self) -> Arc<D> {
        let inner = &self.inner;
        if inner.undecodable().is_some() {
            inner.is_data_missed.store(true, Ordering::Relaxed);
        }
        Arc::clone(&inner.state().data)
    }

    /// Returns the [`data`](Self::data), or an error if `on_undecodable` is `"error"` and it could
    /// not be decoded.
    ///
    /// # Errors
    /// Returns [`SessionError::Undecodable`] until the session is ended or replaced by a login.
    pub fn try_data(&self) -> Result<Arc<D>, SessionError> {
        match self.inner.undecodable() {
            Some(error) => Err(error),
            None => Ok(Arc::clone(&self.inner.state().data)),
        }
    }

    /// Creates the session with `D::default()` if there is none, for an application that needs a
    /// handle before it has data to store. [`update`](Self::update) and [`set`](Self::set) create
    /// one only for data that differs from `D::default()`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/uploads")]
    /// async fn begin(session: Session<Vec<String>>) -> Result<String, SessionError> {
    ///     session.start().await?;
    ///     Ok(session.handle().unwrap_or_default())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails as [`update`](Self::update) does.
    pub async fn start(&self) -> Result<(), SessionError> {
        self.inner.start().await
    }

    /// Applies `change` to the newest data, commits, and returns its result. Creates the session if
    /// there is none and the data differs from `D::default()`.
    ///
    /// No concurrent update is lost. If another request or process has changed the data first,
    /// `change` is applied again to the result. It may therefore run several times, must not have
    /// side effects, and should be quick. If it changes nothing, nothing is written.
    ///
    /// # Errors
    /// - [`SessionError::Ended`] if the session was ended, its token was replaced, or a deadline
    ///   passed in the meantime. The session is never re-created.
    /// - [`SessionError::Encode`] if the data could not be read back from its JSON (see
    ///   [`TypedData`]). Nothing is stored.
    /// - [`SessionError::Undecodable`] if the stored data could not be decoded and `on_undecodable`
    ///   is `"error"`.
    /// - [`SessionError::TooLarge`] if the data exceeds `max_data_size`. Nothing is stored.
    /// - [`SessionError::Unavailable`] or [`SessionError::Timeout`] if the store failed. It may be
    ///   unknown whether the change was committed.
    ///
    /// # Panics
    /// Panics if `change` panics. Nothing is stored then.
    pub async fn update<R, F>(&self, mut change: F) -> Result<R, SessionError>
    where
        F: FnMut(&mut D) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner
            .write(move |mut data| {
                let result = change(&mut data);
                (Some(Arc::new(data)), result)
            })
            .await
    }

    /// Applies `change` like [`update`](Self::update) if it returns `Ok`. If it returns an `Err`,
    /// nothing is stored, no session is created, and the error is returned.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/items/<item>")]
    /// async fn add(session: Session<Vec<String>>, item: &str) -> Result<String, SessionError> {
    ///     let item = item.to_owned();
    ///     let added: Result<usize, CartError> = session
    ///         .try_update(move |items| {
    ///             if items.len() == 10 {
    ///                 return Err(CartError::Full);
    ///             }
    ///             items.push(item.clone());
    ///             Ok(items.len())
    ///         })
    ///         .await;
    ///     match added {
    ///         Ok(count) => Ok(format!("{count} items")),
    ///         Err(CartError::Full) => Ok("the cart is full".to_owned()),
    ///         Err(CartError::Session(error)) => Err(error),
    ///     }
    /// }
    ///
    /// enum CartError {
    ///     Full,
    ///     Session(SessionError),
    /// }
    ///
    /// impl From<SessionError> for CartError {
    ///     fn from(error: SessionError) -> Self {
    ///         Self::Session(error)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the error of the closure, and the errors of `update`.
    pub async fn try_update<R, E, F>(&self, mut change: F) -> Result<R, E>
    where
        F: FnMut(&mut D) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<SessionError> + Send + 'static,
    {
        self.inner
            .write(move |mut data| {
                let result = change(&mut data);
                (result.is_ok().then(|| Arc::new(data)), result)
            })
            .await?
    }

    /// Replaces the data and commits. Creates the session if there is none and the data differs
    /// from `D::default()`. Fields stored by a newer version of the type are kept.
    ///
    /// # Errors
    /// Fails as [`update`](Self::update) does.
    pub async fn set(&self, data: D) -> Result<(), SessionError> {
        let data = Arc::new(data);
        self.inner
            .write(move |_| (Some(Arc::clone(&data)), ()))
            .await
    }

    /// Ends the session: deletes its row and removes the cookie from the browser. This also works
    /// if another request has replaced the token, because ending a session is always safe. If the
    /// request brought tokens of several live sessions, all of them end, because the next request
    /// would otherwise be served another one.
    ///
    /// # Errors
    /// Fails if the store failed. The session may then still exist, and the cookie is not removed.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        let inner = &self.inner;
        let _turn = inner.turn().await?;
        let ids = {
            let state = inner.state();
            let own = state.record().map(|record| record.id.clone());
            [own, state.undecodable.clone()]
        };
        for id in ids.into_iter().flatten().chain(inner.others.clone()) {
            inner.shared.pipeline.delete(id, EndReason::Logout).await?;
        }
        inner.state().ended(inner.context.has_cookie);
        Ok(())
    }

    /// Returns the stored session as this request last saw it, or `None` if nothing is stored.
    pub fn record(&self) -> Option<SessionRecord> {
        self.inner.state().record().cloned()
    }

    /// Returns the handle, the column `id`. It stays the same for the session's whole life.
    pub fn handle(&self) -> Option<SessionHandle> {
        self.field(|record| record.id.clone())
    }

    /// Returns the lookup half of the token, the column `session_id`. It is not secret.
    pub fn session_id(&self) -> Option<Uuid> {
        self.field(|record| record.session_id)
    }

    /// Returns the id of the signed-in user, or `None` for an anonymous visitor.
    pub fn user_id(&self) -> Option<UserId> {
        self.field(|record| record.user_id.clone()).flatten()
    }

    /// Returns the id of the signed-in user as the type that the application keeps it in, such as
    /// `i64` or `Uuid`. Returns `None` for an anonymous visitor, and for an id that is no `T`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{get, post};
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// struct User { id: i64 }
    ///
    /// # fn authenticate() -> User { User { id: 42 } }
    /// #[post("/login")]
    /// async fn login(session: Session<Vec<String>>) -> Result<(), SessionError> {
    ///     let user = authenticate();
    ///     session.login(user.id).await
    /// }
    ///
    /// #[get("/user")]
    /// fn user(session: Session<Vec<String>>) -> Option<String> {
    ///     let id: i64 = session.user_id_as()?;
    ///     Some(format!("user number {id}"))
    /// }
    /// ```
    pub fn user_id_as<T: FromStr>(&self) -> Option<T> {
        self.user_id()?.parse()
    }

    /// Returns when the session was created.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.created_at)
    }

    /// Returns when the session expires unless there is further activity.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.expires_at)
    }

    /// Returns whether the visitor came without a session.
    pub fn is_new(&self) -> bool {
        self.inner.state().is_new
    }

    pub(super) fn inner(&self) -> &Inner<D> {
        &self.inner
    }

    fn field<T>(&self, field: impl FnOnce(&SessionRecord) -> T) -> Option<T> {
        self.inner.state().record().map(field)
    }
}

impl<D> Inner<D> {
    pub(crate) fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns a session to insert for this request's visitor.
    fn new_session(
        &self,
        token: &Token,
        user_id: Option<UserId>,
        data: String,
        now: DateTime<Utc>,
    ) -> NewSession {
        let (expiry, lifetime) = (self.shared.expiry, Lifetime::default());
        let absolute_expires_at = expiry.absolute_deadline(now, &lifetime);
        NewSession {
            id: cuid2::create_id().into(),
            session_id: token.session_id(),
            token_hash: token.hash(),
            expires_at: expiry.deadline(now, absolute_expires_at, user_id.is_some(), &lifetime),
            absolute_expires_at,
            user_id,
            data,
            user_agent: self.context.user_agent.clone(),
            ip: self.context.ip.clone(),
            now,
            kind: self.shared.kind.clone(),
            lifetime,
            sign_in: None,
            pending: None,
        }
    }

    /// Waits until no other operation of this request is running.
    ///
    /// # Errors
    /// Returns [`SessionError::Rotating`] inside the transaction that rotates this session, which
    /// would wait for itself, and [`SessionError::Timeout`] if another operation takes too long.
    pub(super) async fn turn(&self) -> Result<AsyncMutexGuard<'_, ()>, SessionError> {
        if ROTATING.try_with(|session| *session == self.address()) == Ok(true) {
            return Err(SessionError::Rotating);
        }
        let deadline = self.shared.pipeline.deadline();
        let turn = timeout_at(deadline.into(), self.turn.lock()).await;
        turn.map_err(|_| SessionError::Timeout)
    }

    /// Runs the application's own transaction that rotates this session.
    pub(super) async fn rotating<T>(&self, commit: impl Future<Output = T>) -> T {
        ROTATING.scope(self.address(), commit).await
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns the error of decoding the data, if `on_undecodable` makes it one and no other
    /// session has replaced this one since.
    pub(super) fn undecodable(&self) -> Option<SessionError> {
        let error = self.undecodable.as_ref()?;
        matches!(self.state().phase, Phase::Absent).then(|| error.clone())
    }

    /// Returns whether the handler got `D::default()` instead of data that could not be decoded.
    pub(super) fn is_data_missed(&self) -> bool {
        self.is_data_missed.load(Ordering::Relaxed)
    }

    /// Returns the stored session, or `None` if there is none.
    pub(super) fn record(&self) -> Result<Option<SessionRecord>, SessionError> {
        match &self.state().phase {
            Phase::Absent => Ok(None),
            Phase::Live(record) => Ok(Some((**record).clone())),
            Phase::Ended => Err(SessionError::Ended),
        }
    }
}

impl<D> fmt::Debug for Session<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state();
        f.debug_struct("Session")
            .field("id", &state.record().map(|record| &record.id))
            .field("is_new", &state.is_new)
            .finish_non_exhaustive()
    }
}
