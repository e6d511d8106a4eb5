//! [`Session`]: the request guard, and what a handler can do with its session.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket::tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, OnceCell};
use rocket::tokio::time::timeout_at;
use rocket::{Ignite, Rocket, Sentinel};
use uuid::Uuid;

use super::config::OnUndecodable;
use super::core::{Attached, Core, Visit};
use super::data::{self, TypedData};
use super::error::SessionError;
use super::metrics::Missed;
use super::pipeline::{Apply, Change};
use super::state::{Phase, State};
use super::token::Token;
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
    inner: Arc<Inner<D>>,
}

rocket::tokio::task_local! {
    /// The session that the running task is rotating in a transaction of its own.
    static ROTATING: usize;
}

/// A request's session, shared by all of its guards and the fairing.
pub(crate) struct Inner<D> {
    core: Arc<Core>,
    visit: Visit,
    /// Operations of one request run one after the other.
    turn: AsyncMutex<()>,
    state: Mutex<State<D>>,
}

/// The place in a request where its session is kept once it was asked for.
pub(crate) struct Slot<D> {
    session: OnceCell<Result<Arc<Inner<D>>, SessionError>>,
    is_answered: AtomicBool,
}

impl<D> Slot<D> {
    pub(crate) fn empty() -> Self {
        Self {
            session: OnceCell::new(),
            is_answered: AtomicBool::new(false),
        }
    }

    /// The answer goes out: whoever asks for the session from now on can send no cookie.
    pub(crate) fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    /// What came of asking for the session; `None` if nothing in this request has.
    pub(crate) fn get(&self) -> Option<&Result<Arc<Inner<D>>, SessionError>> {
        self.session.get()
    }
}

impl<D: TypedData> Session<D> {
    /// The data as this request last saw it: loaded, or left by its own last update. For a
    /// visitor without a session, `D::default()`.
    pub fn data(&self) -> Arc<D> {
        Arc::clone(&self.inner.state().data)
    }

    /// Applies `change` to the newest data, commits, and returns its result. Makes the session if
    /// there is none.
    ///
    /// Of concurrent updates none is lost: if another request or process was faster, `change` is
    /// applied again to what that one stored. So it may run several times, must not have side
    /// effects, and should be quick. If it changes nothing, nothing is written.
    ///
    /// # Errors
    /// - [`SessionError::Ended`] when the session was ended, or its token replaced, meanwhile;
    ///   it is never made again.
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

    /// Replaces the data, commits, and makes the session if there is none. Fields that a newer
    /// version of the type stored are kept.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub async fn set(&self, data: D) -> Result<(), SessionError> {
        let data = Arc::new(data);
        self.inner.write(move |_| (Arc::clone(&data), ())).await
    }

    /// Ends the session: its row is deleted, and the browser told to forget the cookie. Also when
    /// another request has replaced the token since: ending is always safe.
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
        for id in ids.into_iter().flatten() {
            inner.core.pipeline.delete(id, EndReason::Logout).await?;
        }
        inner.state().ended(inner.visit.has_cookie);
        Ok(())
    }

    /// The stored session as this request last saw it; `None` while nothing is stored.
    pub fn record(&self) -> Option<SessionRecord> {
        self.inner.state().record().cloned()
    }

    /// The public handle, stable for the session's whole life.
    pub fn id(&self) -> Option<String> {
        self.field(|record| record.id.clone())
    }

    /// The lookup half of the token. Showing it gives nothing away.
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
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
        let deadline = self.core.pipeline.deadline();
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

    /// The stored session, `None` while there is none.
    pub(super) fn record(&self) -> Result<Option<SessionRecord>, SessionError> {
        match &self.state().phase {
            Phase::Absent => Ok(None),
            Phase::Live(record) => Ok(Some((**record).clone())),
            Phase::Ended => Err(SessionError::Ended),
        }
    }
}

impl<D: TypedData> Inner<D> {
    async fn load(core: Arc<Core>, request: &Request<'_>) -> Result<Arc<Self>, SessionError> {
        let visit = core.visit(request);
        let record = match &visit.token {
            Some(token) => core.find(token, visit.now).await?,
            None => None,
        };
        let state = match record {
            Some(record) => match data::decode(&record.data) {
                Ok(data) => {
                    core.monitor.metrics.loaded.inc();
                    if let Some(user_id) = &record.user_id {
                        core.monitor.usage.seen(user_id, visit.now);
                    }
                    State::loaded(record, data)
                }
                Err(error) => {
                    core.monitor.metrics.missed(Missed::Undecodable);
                    let error = undecodable(&record, &error);
                    tracing::warn!("{error}");
                    if core.on_undecodable == OnUndecodable::Error {
                        return Err(error);
                    }
                    let mut state = State::absent(D::default());
                    state.undecodable = Some(record.id);
                    state
                }
            },
            None => State::absent(D::default()),
        };
        Ok(Arc::new(Self {
            core,
            visit,
            turn: AsyncMutex::new(()),
            state: Mutex::new(state),
        }))
    }

    /// Stores what `change` makes of the newest data, in the session or in a new one.
    async fn write<R: Send + 'static>(
        &self,
        change: impl FnMut(D) -> (Arc<D>, R) + Send + 'static,
    ) -> Result<R, SessionError> {
        let _turn = self.turn().await?;
        match self.record()? {
            Some(record) => self.change(record, change).await,
            None => self.create(change).await,
        }
    }

    async fn create<R>(&self, mut change: impl FnMut(D) -> (Arc<D>, R)) -> Result<R, SessionError> {
        self.state().check_open()?;
        let core = &self.core;
        let now = self.visit.now;
        let (data, result) = change(D::default());
        let token = Token::generate(now)?;
        let absolute_expires_at = core.expiry.absolute_deadline(now);
        let new = NewSession {
            id: cuid2::create_id(),
            session_id: token.session_id(),
            token_hash: token.hash(),
            user_id: None,
            data: data::encode(&*data, core.max_data_size)?,
            expires_at: core.expiry.deadline(now, absolute_expires_at, false),
            absolute_expires_at,
            user_agent: self.visit.user_agent.clone(),
            ip: self.visit.ip.clone(),
            now,
        };
        let untold = core.pipeline.create(new.clone()).await?;
        let record = new.into_record();
        self.state().created(record, data, token, untold)?;
        Ok(result)
    }

    async fn change<R: Send + 'static>(
        &self,
        record: SessionRecord,
        mut change: impl FnMut(D) -> (Arc<D>, R) + Send + 'static,
    ) -> Result<R, SessionError> {
        let limit = self.core.max_data_size;
        // What the last run of the closure made; it is the one that was committed.
        let made = Arc::new(Mutex::new(None));
        let apply: Apply = {
            let made = Arc::clone(&made);
            Box::new(move |current| {
                let data: D =
                    data::decode(&current.data).map_err(|error| undecodable(current, &error))?;
                let before = data::to_json(&data)?;
                let (data, result) = change(data);
                let json = data::recode(&current.data, &before, &*data, limit)?;
                *made.lock().unwrap_or_else(PoisonError::into_inner) = Some((data, result));
                Ok(json.map_or(Change::Unchanged, Change::Data))
            })
        };
        let updated = self.core.pipeline.update(record, self.visit.now, apply);
        let Some(record) = updated.await? else {
            self.state().found_ended();
            return Err(SessionError::Ended);
        };
        let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        // `update` returns a record only after it has applied the closure.
        let (data, result) = made.ok_or(SessionError::Timeout)?;
        self.state().updated(record, data);
        Ok(result)
    }
}

fn undecodable(record: &SessionRecord, error: &serde_json::Error) -> SessionError {
    SessionError::Undecodable {
        id: record.id.clone(),
        // Not serde's own text, which quotes the data.
        reason: format!("line {}, column {}", error.line(), error.column()),
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

#[rocket::async_trait]
impl<'r, D: TypedData> FromRequest<'r> for Session<D> {
    type Error = SessionError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, SessionError> {
        let loaded = match request.rocket().state::<Attached<D>>() {
            Some(attached) => {
                let slot = request.local_cache(Slot::<D>::empty);
                let load = || async {
                    let inner = Inner::load(Arc::clone(&attached.core), request).await?;
                    if slot.is_answered.load(Ordering::Acquire) {
                        inner.state().answered(true);
                    }
                    Ok(inner)
                };
                slot.session.get_or_init(load).await
            }
            None => &Err(SessionError::NotAttached),
        };
        match loaded {
            Ok(inner) => Outcome::Success(Self {
                inner: Arc::clone(inner),
            }),
            Err(error) => Outcome::Error((error.status(), error.clone())),
        }
    }
}

impl<D: TypedData> Sentinel for Session<D> {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        rocket.state::<Attached<D>>().is_none()
    }
}
