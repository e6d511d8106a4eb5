//! Looks up a request's session once, however many guards ask for it.

use std::any::type_name;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use rocket::request::{self, FromRequest, Request};
use rocket::tokio::sync::{Mutex as AsyncMutex, OnceCell};
use rocket::{Ignite, Rocket, Sentinel};

use super::RequestContext;
use crate::session::codec::{Codec, Fault, TypedData};
use crate::session::config::OnUndecodable;
use crate::session::error::SessionError;
use crate::session::fairing::shared::{Attached, AttachedTypes, Shared};
use crate::session::guard::state::{Phase, State};
use crate::session::guard::{Inner, Session};
use crate::session::observe::metrics::NoSession;
use crate::session::request::failure::outcome;
use crate::store::{SessionRecord, TouchSession};

/// The request-local cache of the session. It is filled when the session is first asked for.
pub(crate) struct Slot<D> {
    session: OnceCell<Result<Arc<Inner<D>>, SessionError>>,
    is_answered: AtomicBool,
    /// Whether the request does not count as activity.
    is_passive: AtomicBool,
}

impl<D> Slot<D> {
    pub(crate) fn empty() -> Self {
        Self {
            session: OnceCell::new(),
            is_answered: AtomicBool::new(false),
            is_passive: AtomicBool::new(false),
        }
    }

    /// Records that the response is being sent. A session loaded from now on cannot send a cookie.
    pub(crate) fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    /// Returns the result of the lookup, or `None` if nothing in this request asked for the
    /// session.
    pub(crate) fn get(&self) -> Option<&Result<Arc<Inner<D>>, SessionError>> {
        self.session.get()
    }
}

impl<D: TypedData> Inner<D> {
    async fn load(
        attached: &Attached<D>,
        request: &Request<'_>,
        is_passive: bool,
    ) -> Result<Arc<Self>, SessionError> {
        let (shared, codec) = (Arc::clone(&attached.shared), Arc::clone(&attached.codec));
        let (context, found) = shared.open(request).await?;
        let mut live = found.live.into_iter();
        let mut state = match live.next() {
            Some(record) => shared.read(&codec, record),
            None => State::absent(D::default()),
        };
        if let Phase::Live(record) = &mut state.phase
            && !is_passive
        {
            shared.served(&context, record);
        }
        Ok(Arc::new(Self {
            shared,
            codec,
            context,
            others: live
                .map(|record| record.id.clone())
                .chain(found.expired)
                .collect(),
            is_data_missed: AtomicBool::new(false),
            turn: AsyncMutex::new(()),
            state: Mutex::new(state),
        }))
    }
}

impl Shared {
    /// Reads the data of a live session.
    fn read<D: TypedData>(&self, codec: &Codec<D>, record: Arc<SessionRecord>) -> State<D> {
        let metrics = &self.monitor.metrics;
        let fault = match codec.read(&record.data).map(|read| read.data) {
            Ok(data) => {
                metrics.loaded.inc();
                return State::loaded(record, data);
            }
            Err(fault) => fault,
        };
        metrics.missed(NoSession::Undecodable);
        let error = undecodable(&record, fault);
        tracing::warn!("{error}");
        let data = D::default();
        match self.on_undecodable {
            OnUndecodable::Keep => State::loaded(record, data),
            OnUndecodable::Error => State::unreadable(record, data, error),
            OnUndecodable::Fresh => State::hiding(record.id.clone(), data),
        }
    }

    /// Counts the user of a served session and touches the session if that is due. The touch is
    /// sent now rather than with the response, because another request may have been refused by
    /// then. The request continues with the new deadline.
    fn served(&self, context: &RequestContext, record: &mut Arc<SessionRecord>) {
        if let Some(user_id) = &record.user_id {
            self.monitor.seen(user_id, context.now);
        }
        if self.expiry.touch_due(record, context.now) {
            self.touch(context, record, context.now);
        }
    }

    /// Records activity at `now`.
    pub(in crate::session) fn touch(
        &self,
        context: &RequestContext,
        record: &mut Arc<SessionRecord>,
        now: DateTime<Utc>,
    ) {
        let (absolute, is_signed_in) = (record.absolute_expires_at, record.user_id.is_some());
        let lifetime = &record.lifetime;
        let touch = TouchSession {
            session_id: record.session_id,
            id: Some(record.id.clone()),
            now,
            expires_at: self.expiry.deadline(now, absolute, is_signed_in, lifetime),
            user_agent: context.user_agent.clone(),
            ip: context.ip.clone(),
        };
        let alive_until = record.expires_at;
        let record = Arc::make_mut(record);
        record.expires_at = alive_until.max(touch.expires_at);
        record.last_seen_at = record.last_seen_at.max(now);
        self.pipeline.touch(touch, alive_until);
    }
}

impl<D: TypedData> Session<D> {
    /// Excludes this request from the session's activity. This is for requests that a page makes by
    /// itself, when its visitor may be away. Call it in a guard of your own before anything in the
    /// request asks for the session. Changes of the data and of the token still take effect.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::Request;
    /// use rocket::request::{FromRequest, Outcome};
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// /// The session of a page that asks every few seconds.
    /// struct Polled(Session<u64>);
    ///
    /// #[rocket::async_trait]
    /// impl<'r> FromRequest<'r> for Polled {
    ///     type Error = SessionError;
    ///
    ///     async fn from_request(request: &'r Request<'_>) -> Outcome<Self, SessionError> {
    ///         Session::<u64>::without_activity(request);
    ///         Session::from_request(request).await.map(Self)
    ///     }
    /// }
    /// ```
    pub fn without_activity(request: &Request<'_>) {
        let slot = request.local_cache(Slot::<D>::empty);
        slot.is_passive.store(true, Ordering::Release);
    }
}

pub(in crate::session) fn undecodable(record: &SessionRecord, fault: Fault) -> SessionError {
    SessionError::Undecodable {
        id: record.id.clone(),
        reason: fault.reason,
    }
}

impl<D: TypedData> Session<D> {
    /// Returns the session of a request, for guards and fairings of the application.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::Request;
    /// use rocket_diesel_sessions::Session;
    ///
    /// async fn user_of(request: &Request<'_>) -> Option<String> {
    ///     let session = Session::<Vec<String>>::of(request).await.ok()?;
    ///     session.user_id().map(|user| user.to_string())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::NotAttached`] if `Sessions::<D>` is not attached. Fails if the store
    /// fails.
    pub async fn of(request: &Request<'_>) -> Result<Self, SessionError> {
        let attached = request.rocket().state::<Attached<D>>();
        let attached = attached.ok_or(SessionError::NotAttached)?;
        let slot = request.local_cache(Slot::<D>::empty);
        let load = || async {
            let is_passive = slot.is_passive.load(Ordering::Acquire);
            let inner = Inner::load(attached, request, is_passive).await?;
            if slot.is_answered.load(Ordering::Acquire) {
                inner.state().answered(true);
            }
            Ok(inner)
        };
        let inner = slot.session.get_or_init(load).await.clone()?;
        Ok(Self { inner })
    }

    /// Returns the session of a request if something in the request has already loaded it, without
    /// waiting. This is for code that cannot wait, such as a responder. Returns `None` if loading it
    /// failed.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::Request;
    /// use rocket::response::{Responder, Result};
    /// use rocket_diesel_sessions::Session;
    ///
    /// struct Greeting;
    ///
    /// impl<'r> Responder<'r, 'static> for Greeting {
    ///     fn respond_to(self, request: &'r Request<'_>) -> Result<'static> {
    ///         let session = Session::<Vec<String>>::loaded(request);
    ///         let user = session.and_then(|session| session.user_id());
    ///         format!("hello, {}", user.map_or("stranger".to_owned(), String::from)).respond_to(request)
    ///     }
    /// }
    /// ```
    pub fn loaded(request: &Request<'_>) -> Option<Self> {
        let slot = request.local_cache(Slot::<D>::empty);
        let inner = slot.get()?.as_ref().ok()?;
        let inner = Arc::clone(inner);
        Some(Self { inner })
    }
}

#[rocket::async_trait]
impl<'r, D: TypedData> FromRequest<'r> for Session<D> {
    type Error = SessionError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, SessionError> {
        outcome(request, Self::of(request).await)
    }
}

impl<D: TypedData> Sentinel for Session<D> {
    /// Stops the launch if the fairing is missing, and logs what to attach, because Rocket itself
    /// names only the guard.
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        if rocket.state::<Attached<D>>().is_some() {
            return false;
        }
        let (needed, attached) = (type_name::<D>(), rocket.state::<AttachedTypes>());
        let attached = attached.map_or_else(Vec::new, |types| types.0.lock().clone());
        let instead = match attached.join(">, Sessions::<") {
            names if names.is_empty() => names,
            names => format!("; attached is Sessions::<{names}>"),
        };
        tracing::error!(
            "a route takes the session of the type {needed}: it needs \
             .attach(Sessions::<{needed}>::fairing()){instead}"
        );
        true
    }
}
