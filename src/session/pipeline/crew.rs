//! The pipeline's threads: the workers, and the thread that watches over them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::breaker::Nudge;
use super::calls::Calls;
use super::queue::Stuck;
use super::shared::{Shared, guarded_call};
use super::worker::Worker;
use crate::session::observe::metrics::{Abandoned, Call};

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(25);

/// Most threads that may be stuck and replaced at a time.
const MAX_LOST: usize = 64;

/// Most probes that may be stuck at a time.
const MAX_PROBES: usize = 8;

/// The threads that work, and those that are stuck.
#[derive(Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    /// A thread has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many are to work; none once the pipeline ends.
    wanted: usize,
    working: usize,
    /// Threads whose turns others have taken over, and that have not come back.
    lost: usize,
    probing: usize,
    hired: u64,
}

impl Crew {
    /// Starts as many workers.
    ///
    /// # Errors
    /// When the system gives no thread.
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
    /// When the system gives no thread.
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

    /// Waits until no worker works any more; returns whether that was within `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state();
        state.wanted = 0;
        let is_working = |state: &mut State| state.working > 0;
        !self
            .changed
            .wait_while_for(&mut state, is_working, timeout)
            .timed_out()
    }

    /// Watches over workers and calls until it is told to stop.
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
            self.replace_stuck(shared, now);
            let metrics = &shared.monitor.metrics;
            for _ in 0..calls.give_up_stuck(now) {
                tracing::error!("a call of the session store is stuck, and is given up");
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
                        "a closure given to `update` does not return (session {handle}); it holds up \
                         its own session"
                    );
                    Abandoned::Closure
                }
            };
            if !matches!(kind, Abandoned::Closure) {
                tracing::error!("a thread is stuck in the session store, and is replaced");
            }
            shared.monitor.metrics.abandoned(kind);
            let mut state = self.state();
            state.lost += 1;
            state.working -= 1;
        }
        self.fill_up(shared);
    }

    /// Hires where workers are missing: one that could not be hired before may be now.
    fn fill_up(self: &Arc<Self>, shared: &Arc<Shared>) {
        let missing = {
            let state = self.state();
            state.wanted.saturating_sub(state.working)
        };
        for _ in 0..missing {
            if let Err(error) = self.hire(shared) {
                tracing::error!("no thread for a worker of the session store: {error}");
                return;
            }
        }
    }

    /// Asks the database for a sign of life, on a thread of its own, which may get stuck.
    fn probe(self: &Arc<Self>, shared: &Arc<Shared>) {
        {
            let mut state = self.state();
            if state.probing >= MAX_PROBES {
                // Operations have to find out by themselves.
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
            tracing::error!("no thread to look for the database: {error}");
            self.state().probing -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
