//! Calls of the store that bypass the queue, for rare operations: logins, lists, sweeps by request.
//!
//! Each runs on its own thread. A call that is stuck in the store releases its slot to others, and
//! does not prevent the process from ending.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rocket::tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use rocket::tokio::time::timeout_at;

use crate::session::error::SessionError;
use crate::session::observe::metrics::Call;
use crate::session::pipeline::shared::{Shared, guarded_call};
use crate::store::{SessionStore, StoreError};

/// Maximum number of stuck calls whose slots others have taken.
const MAX_LOST: usize = 16;

/// The running calls.
#[derive(Default)]
pub(in crate::session::pipeline) struct Calls {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: HashMap<u64, Running>,
    /// Number of calls that released their slots to others and have not returned.
    lost: usize,
}

struct Running {
    /// The call's slot. Dropping it releases the slot.
    _permit: OwnedSemaphorePermit,
    gives_up: Instant,
}

impl Calls {
    /// Runs `job` when one of `places` is free. The caller waits until `deadline`, and the call
    /// releases its slot `slack` after that.
    pub(in crate::session::pipeline) async fn run<T: Send + 'static>(
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
                shared.breaker.learn(result.as_ref().err(), start);
                let metrics = &shared.monitor.metrics;
                metrics.called(Call::Other, 1, start.elapsed());
                result
            };
            calls.end(number);
            // If the caller no longer waits, the result is dropped, which undoes a login.
            drop(reply.send(result));
        };
        let thread = std::thread::Builder::new().name("session-store-call".to_owned());
        if let Err(error) = thread.spawn(call) {
            tracing::error!("a call of the session store could not be started: {error}");
            self.end(number);
            return Err(SessionError::Aborted);
        }
        match timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result.map_err(Into::into),
            Ok(Err(_)) => Err(SessionError::Aborted),
            Err(_) => Err(SessionError::Timeout),
        }
    }

    /// Releases the slots of stuck calls. Returns their number.
    pub(in crate::session::pipeline) fn give_up_stuck(&self, now: Instant) -> usize {
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
