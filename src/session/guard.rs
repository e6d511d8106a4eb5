//! [`Session`]: the request guard, and what a handler can do with its session.

pub(super) mod login;
pub(super) mod state;
pub(super) mod write;

use std::fmt;
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
use crate::store::{EndReason, NewSession, SessionRecord};

/// The visitor's session, with data of type `D`.
///
/// As a request guard it loads the session, once a request however often it is asked for, and
/// succeeds whether there is one or not; it fails with 503 only when the store does. A session is
/// made, and a cookie sent, by the first [`update`](Self::update) or [`set`](Self::set).
///
/// Whatever costs the database a round trip is `async` and returns a `Result`; when it returns
/// `Ok`, it is committed. Launch fails if [`Sessions<D>`](crate::Sessions) is not attached.
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
pub struct Session<D> {
    pub(super) inner: Arc<Inner<D>>,
}

rocket::tokio::task_local! {
    /// The session that the running task is rotating in a transaction of its own.
    static ROTATING: usize;
}

/// A request's session, shared by all of its guards and the fairing.
pub(crate) struct Inner<D> {
    pub(super) shared: Arc<Shared>,
    pub(super) context: RequestContext,
    /// Handles of further sessions whose tokens the request brought, live or expired.
    pub(super) others: Vec<String>,
    /// Why the visitor's data could not be decoded, where that is an error.
    pub(super) undecodable: Option<SessionError>,
    /// Whether the handler got `D::default()` in the place of such data.
    pub(super) is_data_missed: AtomicBool,
    /// Operations of one request run one after the other.
    pub(super) turn: AsyncMutex<()>,
    pub(super) state: Mutex<State<D>>,
}

impl<D: TypedData> Session<D> {
    /// The data as this request last saw it: loaded, or left by its own last update. For a
    /// visitor without a session, `D::default()`.
    ///
    /// Where `on_undecodable` is `"error"` and the visitor's data could not be decoded, it is
    /// `D::default()` too, and an answer of success becomes an empty 500: the handler has acted on
    /// data that is not the visitor's. [`try_data`](Self::try_data) lets it answer by itself.
    pub fn data(&self) -> Arc<D> {
        let inner = &self.inner;
        if inner.undecodable().is_some() {
            inner.is_data_missed.store(true, Ordering::Relaxed);
        }
        Arc::clone(&inner.state().data)
    }

    /// The [`data`](Self::data), or an error where it could not be decoded and `on_undecodable` is
    /// `"error"`.
    ///
    /// # Errors
    /// [`SessionError::Undecodable`], until the session is ended or replaced by a login.
    pub fn try_data(&self) -> Result<Arc<D>, SessionError> {
        match self.inner.undecodable() {
            Some(error) => Err(error),
            None => Ok(Arc::clone(&self.inner.state().data)),
        }
    }

    /// Makes the session if there is none, with `D::default()`, for an application that needs a
    /// handle before it has something to store. [`update`](Self::update) and [`set`](Self::set)
    /// make one only for data that differs from `D::default()`.
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
    /// As for [`update`](Self::update).
    pub async fn start(&self) -> Result<(), SessionError> {
        self.inner.start().await
    }

    /// Applies `change` to the newest data, commits, and returns its result. Makes the session if
    /// there is none and the result is not `D::default()`.
    ///
    /// Of concurrent updates none is lost: if another request or process was faster, `change` is
    /// applied again to what that one stored. So it may run several times, must not have side
    /// effects, and should be quick. If it changes nothing, nothing is written.
    ///
    /// # Errors
    /// - [`SessionError::Ended`] when the session was ended, its token replaced, or a deadline
    ///   passed in the meantime; it is never made again.
    /// - [`SessionError::Encode`] when the data could not be read back from its JSON; nothing is
    ///   stored. [`TypedData`] says what has to hold.
    /// - [`SessionError::Undecodable`] when the stored data could not be decoded and
    ///   `on_undecodable` is `"error"`.
    /// - [`SessionError::TooLarge`] when the data outgrows `max_data_size`; nothing is stored.
    /// - [`SessionError::Unavailable`] or [`SessionError::Timeout`] when the store failed; whether
    ///   the change was committed may be unknown.
    ///
    /// # Panics
    /// When `change` does; nothing is stored then.
    pub async fn update<R, F>(&self, mut change: F) -> Result<R, SessionError>
    where
        F: FnMut(&mut D) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner
            .write(move |mut data| {
                let result = change(&mut data);
                (Arc::new(data), result)
            })
            .await
    }

    /// Replaces the data, commits, and makes the session if there is none and the data is not
    /// `D::default()`. Fields that a newer
    /// version of the type stored are kept.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub async fn set(&self, data: D) -> Result<(), SessionError> {
        let data = Arc::new(data);
        self.inner.write(move |_| (Arc::clone(&data), ())).await
    }

    /// Ends the session: its row is deleted, and the browser told to forget the cookie. Also when
    /// another request has replaced the token since: ending is always safe. Where the request
    /// brought tokens of several live sessions, all of them end, or the next request would be
    /// served another one.
    ///
    /// # Errors
    /// When the store failed: then the session may still be there, and the cookie is left alone.
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

    /// The stored session as this request last saw it; `None` while nothing is stored.
    pub fn record(&self) -> Option<SessionRecord> {
        self.inner.state().record().cloned()
    }

    /// The public handle, stable for the session's whole life: the column `id`.
    pub fn handle(&self) -> Option<String> {
        self.field(|record| record.id.clone())
    }

    /// The lookup half of the token: the column `session_id`. Showing it gives nothing away.
    pub fn session_id(&self) -> Option<Uuid> {
        self.field(|record| record.session_id)
    }

    /// The signed-in user; `None` for an anonymous visitor.
    pub fn user_id(&self) -> Option<String> {
        self.field(|record| record.user_id.clone()).flatten()
    }

    /// When the session was created.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.created_at)
    }

    /// When the session ends unless it is used.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.expires_at)
    }

    /// Whether the visitor came without a session.
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
        user_id: Option<String>,
        data: String,
        now: DateTime<Utc>,
    ) -> NewSession {
        let expiry = self.shared.expiry;
        let absolute_expires_at = expiry.absolute_deadline(now);
        NewSession {
            id: cuid2::create_id(),
            session_id: token.session_id(),
            token_hash: token.hash(),
            expires_at: expiry.deadline(now, absolute_expires_at, user_id.is_some()),
            absolute_expires_at,
            user_id,
            data,
            user_agent: self.context.user_agent.clone(),
            ip: self.context.ip.clone(),
            now,
        }
    }

    /// Waits until no other operation of this request is under way.
    ///
    /// # Errors
    /// [`SessionError::Rotating`] inside the transaction of a rotation of this session, which would
    /// wait for itself; [`SessionError::Timeout`] when another operation takes too long.
    pub(super) async fn turn(&self) -> Result<AsyncMutexGuard<'_, ()>, SessionError> {
        if ROTATING.try_with(|session| *session == self.address()) == Ok(true) {
            return Err(SessionError::Rotating);
        }
        let deadline = self.shared.pipeline.deadline();
        let turn = timeout_at(deadline.into(), self.turn.lock()).await;
        turn.map_err(|_| SessionError::Timeout)
    }

    /// Runs a transaction of the application's that rotates this session.
    pub(super) async fn rotating<T>(&self, commit: impl Future<Output = T>) -> T {
        ROTATING.scope(self.address(), commit).await
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Why the data could not be decoded, where that is an error and nothing has taken the
    /// session's place since.
    pub(super) fn undecodable(&self) -> Option<SessionError> {
        let error = self.undecodable.as_ref()?;
        matches!(self.state().phase, Phase::Absent).then(|| error.clone())
    }

    /// Returns whether the handler got `D::default()` in the place of data that was not decoded.
    pub(super) fn is_data_missed(&self) -> bool {
        self.is_data_missed.load(Ordering::Relaxed)
    }

    /// The stored session, `None` while there is none.
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
