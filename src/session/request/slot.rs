//! How a request comes by its session: once, however many guards ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket::tokio::sync::{Mutex as AsyncMutex, OnceCell};
use rocket::{Ignite, Rocket, Sentinel};

use super::RequestContext;
use crate::session::codec::{self, TypedData};
use crate::session::config::OnUndecodable;
use crate::session::error::SessionError;
use crate::session::guard::state::State;
use crate::session::guard::{Inner, Session};
use crate::session::observe::metrics::NoSession;
use crate::session::shared::{Attached, Shared};
use crate::store::{SessionRecord, TouchSession};

/// The place in a request where its session is kept once it was asked for.
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

    /// The answer goes out: what asks for the session from now on can send no cookie.
    pub(crate) fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    /// What came of asking for the session; `None` if nothing in this request has.
    pub(crate) fn get(&self) -> Option<&Result<Arc<Inner<D>>, SessionError>> {
        self.session.get()
    }
}

impl<D: TypedData> Inner<D> {
    async fn load(
        shared: Arc<Shared>,
        request: &Request<'_>,
        is_passive: bool,
    ) -> Result<Arc<Self>, SessionError> {
        let (context, found) = shared.open(request).await?;
        let mut live = found.live.into_iter();
        let record = live.next();
        let mut undecodable_error = None;
        let state = match record {
            Some(mut record) => match codec::decode(&record.data) {
                Ok(data) => {
                    shared.monitor.metrics.loaded.inc();
                    if !is_passive {
                        shared.served(&context, &mut record);
                    }
                    State::loaded(record, data)
                }
                Err(error) => {
                    shared.monitor.metrics.missed(NoSession::Undecodable);
                    let error = undecodable(&record, &error);
                    tracing::warn!("{error}");
                    if shared.on_undecodable == OnUndecodable::Error {
                        undecodable_error = Some(error);
                    }
                    let mut state = State::absent(D::default());
                    state.undecodable = Some(record.id);
                    state
                }
            },
            None => State::absent(D::default()),
        };
        Ok(Arc::new(Self {
            shared,
            context,
            others: live.map(|record| record.id).chain(found.expired).collect(),
            undecodable: undecodable_error,
            is_data_missed: AtomicBool::new(false),
            turn: AsyncMutex::new(()),
            state: Mutex::new(state),
        }))
    }
}

impl Shared {
    /// Counts the user of a session that was served, and records its activity when that is due: now, and not
    /// when the answer goes out, because another request may have been refused by then. The request
    /// goes on with the deadline that follows.
    fn served(&self, context: &RequestContext, record: &mut SessionRecord) {
        if let Some(user_id) = &record.user_id {
            self.monitor.usage.seen(user_id, context.now);
        }
        if !self.expiry.touch_due(record, context.now) {
            return;
        }
        let (absolute, is_signed_in) = (record.absolute_expires_at, record.user_id.is_some());
        let touch = TouchSession {
            session_id: record.session_id,
            now: context.now,
            expires_at: self.expiry.deadline(context.now, absolute, is_signed_in),
            user_agent: context.user_agent.clone(),
            ip: context.ip.clone(),
        };
        let alive_until = record.expires_at;
        record.expires_at = alive_until.max(touch.expires_at);
        record.last_seen_at = record.last_seen_at.max(context.now);
        self.pipeline.touch(touch, alive_until);
    }
}

impl<D: TypedData> Session<D> {
    /// Keeps this request from counting as activity, for what a page asks by itself while no one may
    /// be there. It must be called before anything in the request asks for the session, in a guard
    /// of one's own. Changes of the data and of the token are made as always.
    pub fn without_activity(request: &Request<'_>) {
        let slot = request.local_cache(Slot::<D>::empty);
        slot.is_passive.store(true, Ordering::Release);
    }
}

pub(in crate::session) fn undecodable(
    record: &SessionRecord,
    error: &serde_json::Error,
) -> SessionError {
    SessionError::Undecodable {
        id: record.id.clone(),
        // Not serde's own text, which quotes the data.
        reason: format!("line {}, column {}", error.line(), error.column()),
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
                    let is_passive = slot.is_passive.load(Ordering::Acquire);
                    let shared = Arc::clone(&attached.shared);
                    let inner = Inner::load(shared, request, is_passive).await?;
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
