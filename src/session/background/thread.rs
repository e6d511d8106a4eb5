//! A thread for recurring work that runs until it is stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Wait after the first failure. It doubles up to the interval.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Time without a sign of life after which work counts as stuck. It is longer than two calls of the
/// store with the longest timeout.
const STUCK: Duration = Duration::from_secs(150);

/// Time between two checks of running work.
const LOOK: Duration = Duration::from_secs(1);

/// Maximum number of stuck threads at a time.
const MAX_STUCK: usize = 4;

/// The schedule of a thread's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Time before the first run.
    pub(crate) first: Duration,
    /// Time between two runs.
    pub(crate) interval: Duration,
}

/// The running thread. Dropping it stops the thread without waiting for it.
pub(crate) struct Background {
    name: &'static str,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// Signals the work to stop and records its signs of life.
#[derive(Clone)]
pub(crate) struct Stop(Arc<Signal>);

struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    is_stopped: bool,
    /// The work's last sign of life.
    beat: Instant,
}

impl Stop {
    fn new() -> Self {
        Self(Arc::new(Signal {
            state: Mutex::new(State {
                is_stopped: false,
                beat: Instant::now(),
            }),
            changed: Condvar::new(),
        }))
    }

    /// Waits for the duration or until the thread is to stop. Returns whether it is to stop.
    pub(crate) fn within(&self, wait: Duration) -> bool {
        let mut state = self.state();
        state.beat = Instant::now();
        let is_running = |state: &mut State| !state.is_stopped;
        self.0.changed.wait_while_for(&mut state, is_running, wait);
        state.is_stopped
    }

    fn stop(&self) {
        self.state().is_stopped = true;
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl Background {
    /// Starts a thread. `work` returns whether it succeeded; after a failure it is called again
    /// sooner. If work gets stuck in a call, its thread is abandoned.
    pub(crate) fn start(
        name: &'static str,
        schedule: Schedule,
        work: impl Fn(&Stop) -> bool + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let stop = Stop::new();
        let passes = Passes {
            name,
            work: Arc::new(work),
            stop: stop.clone(),
            running: Arc::default(),
        };
        let run = move || {
            let (mut wait, mut backoff) = (schedule.first, FIRST_BACKOFF);
            while !passes.stop.within(wait) {
                if passes.run_one() {
                    backoff = FIRST_BACKOFF;
                    wait = schedule.interval;
                } else {
                    wait = backoff.min(schedule.interval);
                    backoff = (backoff * 2).min(schedule.interval);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("{name}-timer"))
            .spawn(run)?;
        Ok(Self {
            name,
            stop,
            thread: Some(thread),
        })
    }

    /// Stops the thread and waits until it has ended. Work that checks `Stop` ends early. Blocks.
    pub(crate) fn stop(mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread {} panicked", self.name);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Runs the work each time on a thread of its own, because it may get stuck.
struct Passes {
    name: &'static str,
    work: Arc<dyn Fn(&Stop) -> bool + Send + Sync>,
    stop: Stop,
    /// Number of threads that have not finished.
    running: Arc<AtomicUsize>,
}

impl Passes {
    /// Runs the work once. Returns whether it succeeded.
    fn run_one(&self) -> bool {
        if self.running.load(Ordering::Acquire) > MAX_STUCK {
            tracing::error!(
                "the threads {} are stuck; no further thread is started",
                self.name
            );
            return false;
        }
        let (done, result) = channel();
        let (name, work) = (self.name, Arc::clone(&self.work));
        let (stop, running) = (self.stop.clone(), Arc::clone(&self.running));
        running.fetch_add(1, Ordering::AcqRel);
        self.stop.state().beat = Instant::now();
        let pass = move || {
            let went_well = guarded(name, || work(&stop));
            running.fetch_sub(1, Ordering::AcqRel);
            // The timer may have abandoned this thread.
            let _ = done.send(went_well);
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        if let Err(error) = thread.spawn(pass) {
            tracing::error!("the thread {name} could not be started: {error}");
            self.running.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        loop {
            match result.recv_timeout(LOOK) {
                Ok(went_well) => return went_well,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if self.stop.state().beat.elapsed() < STUCK => {}
                Err(RecvTimeoutError::Timeout) => {
                    tracing::error!("the thread {name} is stuck and was abandoned");
                    return false;
                }
            }
        }
    }
}

/// Treats a panic as a failure, so that the thread goes on.
fn guarded(name: &str, work: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("the thread {name} panicked; it will go on");
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};

    #[test]
    fn i10_a_panic_does_not_end_the_thread() {
        let times = Arc::new(AtomicU32::new(0));
        let (done, is_done) = mpsc::channel();
        let schedule = Schedule {
            first: Duration::ZERO,
            interval: Duration::from_millis(1),
        };
        let work = {
            let times = Arc::clone(&times);
            move |_: &Stop| {
                assert!(
                    times.fetch_add(1, Ordering::SeqCst) > 0,
                    "a first time that panics"
                );
                // The test may have ended already.
                let _ = done.send(());
                true
            }
        };
        let thread = Background::start("test", schedule, work).unwrap();
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
        thread.stop();
        assert!(times.load(Ordering::SeqCst) >= 2);
    }
}
