//! A thread of its own for what is done again and again, until it is stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The wait after a first failure; it doubles up to the interval.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// When a thread does its work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Before the first time.
    pub(crate) first: Duration,
    /// Between two times.
    pub(crate) interval: Duration,
}

/// The running thread. Dropping it stops the thread without waiting for it.
pub(crate) struct Background {
    name: &'static str,
    /// Its end is the signal to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A panic is a failure like others: the thread goes on.
fn guarded(name: &str, work: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("the thread {name} panicked, it will go on");
        false
    })
}

/// Tells the work when to stop.
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Waits so long; whether the thread is to stop.
    pub(crate) fn within(&self, wait: Duration) -> bool {
        self.0.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
    }
}

impl Background {
    /// Starts a thread of this name. `work` says whether it went well; if not, it is called again
    /// sooner.
    pub(crate) fn start(
        name: &'static str,
        schedule: Schedule,
        mut work: impl FnMut(&Stop) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            let stop = Stop(stopped);
            let (mut wait, mut backoff) = (schedule.first, FIRST_BACKOFF);
            while !stop.within(wait) {
                if guarded(name, || work(&stop)) {
                    backoff = FIRST_BACKOFF;
                    wait = schedule.interval;
                } else {
                    wait = backoff.min(schedule.interval);
                    backoff = (backoff * 2).min(schedule.interval);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)?;
        Ok(Self { name, stop, thread })
    }

    /// Stops the thread, in the middle of its work if that asks, and waits until it has ended.
    /// Blocks.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread {} panicked", self.name);
        }
    }
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
                // Whoever waits may be gone already.
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
