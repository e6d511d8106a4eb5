//! [`Session`]: the request guard and a handler's operations on its session.

pub(super) mod access;
pub(super) mod activity;
mod data;
mod events;
mod facts;
pub(super) mod login;
mod prepared_login;
pub(super) mod state;
pub(super) mod token;
mod watch;
pub(super) mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use rocket::tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use rocket::tokio::time::timeout_at;

use self::state::{Phase, State};
use super::codec::{Codec, TypedData};
use super::cookie::token::Token;
use super::error::SessionError;
use super::fairing::shared::Shared;
use super::request::RequestContext;
use crate::store::{Lifetime, NewSession, SessionHandle, SessionRecord, UserId};

/// The visitor's session, with data of type `D`.
///
/// As a request guard, it loads the session once per request, however often it is asked for, and
/// succeeds whether or not there is one. It fails, with 503, only if the store fails. The first
/// [`update`](Self::update) or [`set`](Self::set) that leaves other data than `D::default()` creates
/// a session and sends the cookie.
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
    pub(super) codec: Arc<Codec<D>>,
    pub(super) context: RequestContext,
    /// Handles of other sessions, live or expired, whose tokens the request brought.
    pub(super) others: Vec<SessionHandle>,
    /// Whether the handler got `D::default()` instead of data whose decoding is an error.
    pub(super) is_data_missed: AtomicBool,
    /// Serializes the operations of one request.
    pub(super) turn: AsyncMutex<()>,
    pub(super) state: Mutex<State<D>>,
}

impl<D: TypedData> Session<D> {
    pub(super) fn inner(&self) -> &Inner<D> {
        &self.inner
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

    /// Returns the error of decoding the data, if `on_undecodable` makes it one and this request
    /// has neither ended the session nor replaced it by a login.
    pub(super) fn undecodable(&self) -> Option<SessionError> {
        self.state().undecodable().cloned()
    }

    /// Returns whether the handler got `D::default()` instead of data that could not be decoded.
    pub(super) fn is_data_missed(&self) -> bool {
        self.is_data_missed.load(Ordering::Relaxed)
    }

    /// Returns the stored session, or `None` if there is none.
    pub(super) fn record(&self) -> Result<Option<Arc<SessionRecord>>, SessionError> {
        match &self.state().phase {
            Phase::Absent => Ok(None),
            Phase::Live(record) => Ok(Some(Arc::clone(record))),
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
