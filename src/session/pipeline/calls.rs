//! Calls of the store beside the queue, for what is rare: logins, lists, sweeps by request.
//!
//! Each runs on a thread of its own. One that is stuck in the store gives its place to others, and
//! keeps the process from nothing: not from ending either.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rocket::tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use rocket::tokio::time::timeout_at;

use super::shared::{Shared, guarded_call};
use crate::session::error::SessionError;
use crate::session::observe::metrics::Call;
use crate::store::{SessionStore, StoreError};

/// Most calls that may be stuck while others have their places.
const MAX_LOST: usize = 16;

/// The calls that are under way.
#[derive(Default)]
pub(super) struct Calls {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: HashMap<u64, Running>,
    /// Calls that gave their places to others and have not come back.
    lost: usize,
}

struct Running {
    /// Its place; others may take it when this is dropped.
    _permit: OwnedSemaphorePermit,
    gives_up: Instant,
}

impl Calls {
    /// Runs `job` when one of `places` is free. The caller waits until `deadline`; the call gives up
    /// its place `slack` after that.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        places: &Arc<Semaphore>,
        deadline: Instant,
        slack: Duration,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let timeout = |_| SessionError::Timeout;
        let places = Arc::clone(places).acquire_owned();
        let permit = timeout_at(deadline.into(), places).await.map_err(timeout)?;
        let permit = permit.map_err(|_| SessionError::Aborted)?;
        let (reply, answer) = oneshot::channel();
        let number = self.begin(permit, deadline + slack);
        let (calls, shared) = (Arc::clone(self), Arc::clone(shared));
        let call = move || {
            let start = Instant::now();
            let result = if start >= deadline {
                Err(StoreError::TooLate)
            } else {
                let result = guarded_call(|| job(&*shared.store));
                shared.breaker.learn(result.as_ref().err());
                let metrics = &shared.monitor.metrics;
                metrics.called(Call::Other, 1, start.elapsed());
                result
            };
            calls.end(number);
            // A result that its caller no longer waits for is dropped, which undoes a login.
            drop(reply.send(result));
        };
        let thread = std::thread::Builder::new().name("session-store-call".to_owned());
        if let Err(error) = thread.spawn(call) {
            tracing::error!("no thread for a call of the session store: {error}");
            self.end(number);
            return Err(SessionError::Aborted);
        }
        match timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result.map_err(Into::into),
            Ok(Err(_)) => Err(SessionError::Aborted),
            Err(_) => Err(SessionError::Timeout),
        }
    }

    /// Gives the places of calls that are stuck to others; returns how many these are.
    pub(super) fn give_up_stuck(&self, now: Instant) -> usize {
        let mut state = self.state();
        let room = MAX_LOST.saturating_sub(state.lost);
        let stuck = state.running.extract_if(|_, call| now >= call.gives_up);
        let stuck = stuck.take(room).count();
        state.lost += stuck;
        stuck
    }

    fn begin(&self, permit: OwnedSemaphorePermit, gives_up: Instant) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let running = Running {
            _permit: permit,
            gives_up,
        };
        state.running.insert(number, running);
        number
    }

    fn end(&self, number: u64) {
        let mut state = self.state();
        if state.running.remove(&number).is_none() {
            state.lost -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
