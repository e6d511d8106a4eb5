//! The pipeline's threads: the workers, and the thread that watches them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::breaker::Nudge;
use super::direct::calls::Calls;
use super::queue::Stuck;
use super::shared::{Shared, guarded_call};
use super::worker::Worker;
use crate::session::observe::metrics::{Abandoned, Call};

/// Time between two checks of the watching thread.
const TICK: Duration = Duration::from_millis(25);

/// Maximum number of stuck threads that are replaced at a time.
const MAX_LOST: usize = 64;

/// Maximum number of stuck probes at a time.
const MAX_PROBES: usize = 8;

/// The working threads and the stuck ones.
#[derive(Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    /// Signals that a thread has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of workers wanted. Zero once the pipeline ends.
    wanted: usize,
    working: usize,
    /// Number of replaced threads that have not returned.
    lost: usize,
    probing: usize,
    hired: u64,
}

impl Crew {
    /// Starts `workers` workers.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    pub(super) fn start(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        workers: usize,
    ) -> std::io::Result<()> {
        self.state().wanted = workers;
        (0..workers).try_for_each(|_| self.hire(shared))
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    fn hire(self: &Arc<Self>, shared: &Arc<Shared>) -> std::io::Result<()> {
        let number = {
            let mut state = self.state();
            state.working += 1;
            state.hired += 1;
            state.hired
        };
        let (crew, worker) = (
            Arc::clone(self),
            Worker {
                shared: Arc::clone(shared),
            },
        );
        let spawned = std::thread::Builder::new()
            .name(format!("session-store-{number}"))
            .spawn(move || {
                let was_not_replaced = worker.run();
                let mut state = crew.state();
                if was_not_replaced {
                    state.working -= 1;
                } else {
                    state.lost -= 1;
                }
                drop(state);
                crew.changed.notify_all();
            });
        if let Err(error) = spawned {
            self.state().working -= 1;
            return Err(error);
        }
        Ok(())
    }

    /// Waits until all workers have ended, at most for `timeout`. Returns whether they have.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state();
        state.wanted = 0;
        let is_working = |state: &mut State| state.working > 0;
        !self
            .changed
            .wait_while_for(&mut state, is_working, timeout)
            .timed_out()
    }

    /// Watches workers and calls until it is stopped.
    pub(super) fn watch(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        calls: &Calls,
        nudged: &Receiver<Nudge>,
    ) {
        while matches!(
            nudged.recv_timeout(TICK),
            Ok(Nudge::Probe) | Err(RecvTimeoutError::Timeout)
        ) {
            let now = Instant::now();
            shared.deadlines.wake_late(now);
            self.replace_stuck(shared, now);
            let metrics = &shared.monitor.metrics;
            for _ in 0..calls.give_up_stuck(now) {
                tracing::error!("a call of the session store is stuck and was abandoned");
                metrics.abandoned(Abandoned::Call);
            }
            if shared.breaker.sends_probe(now) {
                self.probe(shared);
            }
        }
    }

    fn replace_stuck(self: &Arc<Self>, shared: &Arc<Shared>, now: Instant) {
        let room = MAX_LOST - self.state().lost.min(MAX_LOST);
        for stuck in shared.queue.watch(now, room) {
            let kind = match stuck {
                Stuck::Load => Abandoned::Load,
                Stuck::Write => Abandoned::Write,
                Stuck::Closure(handle) => {
                    tracing::warn!(
                        "a closure passed to `update` does not return (session {handle}); it blocks \
                         its own session"
                    );
                    Abandoned::Closure
                }
            };
            if !matches!(kind, Abandoned::Closure) {
                tracing::error!("a thread is stuck in the session store and was replaced");
            }
            shared.monitor.metrics.abandoned(kind);
            let mut state = self.state();
            state.lost += 1;
            state.working -= 1;
        }
        self.fill_up(shared);
    }

    /// Starts missing workers, including those that could not be started before.
    fn fill_up(self: &Arc<Self>, shared: &Arc<Shared>) {
        let missing = {
            let state = self.state();
            state.wanted.saturating_sub(state.working)
        };
        for _ in 0..missing {
            if let Err(error) = self.hire(shared) {
                tracing::error!("a worker of the session store could not be started: {error}");
                return;
            }
        }
    }

    /// Probes the database, on a separate thread that may get stuck.
    fn probe(self: &Arc<Self>, shared: &Arc<Shared>) {
        {
            let mut state = self.state();
            if state.probing >= MAX_PROBES {
                // Operations have to find out themselves.
                shared.breaker.give_way();
                return;
            }
            state.probing += 1;
        }
        let (crew, shared) = (Arc::clone(self), Arc::clone(shared));
        let probe = move || {
            let start = Instant::now();
            let result = guarded_call(|| shared.store.probe());
            let metrics = &shared.monitor.metrics;
            metrics.called(Call::Other, 1, start.elapsed());
            shared.breaker.probed(result.as_ref().err());
            crew.state().probing -= 1;
        };
        let thread = std::thread::Builder::new().name("session-store-probe".to_owned());
        if let Err(error) = thread.spawn(probe) {
            tracing::error!("a probe of the database could not be started: {error}");
            self.state().probing -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
