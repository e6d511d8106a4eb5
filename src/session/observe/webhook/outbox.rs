//! Events that wait to be sent, and the thread that sends them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::post::Posted;
use crate::session::observe::metrics::EventCounts;
use crate::session::observe::seldom::Seldom;

/// Maximum number of events that wait. Further ones are dropped.
const MAX_WAITING: usize = 1000;

/// Maximum number of attempts to send an event.
const ATTEMPTS: u32 = 8;

/// The pause after the first failed attempt. It doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long a stop waits for the events that wait. Each is tried once.
const GRACE: Duration = Duration::from_secs(2);

/// The events that wait. Dropping it sends them, for a short time, and ends the thread.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    done: Mutex<Receiver<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    counts: EventCounts,
    /// Limits how often failures are logged.
    failure: Seldom,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    is_closed: bool,
}

impl Outbox {
    /// Starts the thread `session-webhook`, which sends with `post`.
    pub(super) fn start(
        counts: EventCounts,
        post: impl Fn(&str) -> Posted + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            counts,
            failure: Seldom::default(),
        });
        let (ended, done) = channel();
        let sender = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("session-webhook".to_owned())
            .spawn(move || {
                while let Some(body) = sender.next() {
                    sender.send(&body, &post);
                }
                // Nobody may wait any more.
                let _ = ended.send(());
            })?;
        Ok(Self {
            shared,
            done: Mutex::new(done),
        })
    }

    /// Has an event sent. Never blocks for long.
    pub(super) fn push(&self, body: String) {
        let mut state = self.shared.state.lock();
        if state.waiting.len() >= MAX_WAITING {
            drop(state);
            return self.shared.lost("too many events wait");
        }
        state.waiting.push_back(body);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits for the next event. Returns `None` once the outbox is closed and empty.
    fn next(&self) -> Option<String> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| {
            state.waiting.is_empty() && !state.is_closed
        });
        state.waiting.pop_front()
    }

    /// Sends one event, in several attempts if need be.
    fn send(&self, body: &str, post: &impl Fn(&str) -> Posted) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let posted = catch_unwind(AssertUnwindSafe(|| post(body)));
            match posted.unwrap_or_else(|_| Posted::Refused("a panic".to_owned())) {
                Posted::Delivered => return self.counts.delivered.inc(),
                Posted::Refused(reason) => return self.lost(&reason),
                Posted::TryAgain(reason) if attempt == ATTEMPTS || !self.pauses(pause) => {
                    return self.lost(&reason);
                }
                Posted::TryAgain(reason) => {
                    tracing::debug!("an event was not delivered and is sent again: {reason}");
                    pause *= 2;
                }
            }
        }
    }

    /// Pauses for about this time, half of it at random, so that instances do not send at once.
    /// Returns whether there is time for another attempt: not if the outbox is closed.
    fn pauses(&self, pause: Duration) -> bool {
        let random = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        let pause = pause.mul_f64(0.5 + random / 2.0);
        let mut state = self.state.lock();
        let is_open = |state: &mut State| !state.is_closed;
        self.changed.wait_while_for(&mut state, is_open, pause);
        !state.is_closed
    }

    fn lost(&self, reason: &str) {
        self.counts.lost.inc();
        if self.failure.is_due(Instant::now()) {
            tracing::warn!(
                "an event was not delivered to the webhook: {reason}; {} since the start",
                self.counts.lost.get()
            );
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_all();
        if self.done.lock().recv_timeout(GRACE).is_err() {
            let left = self.shared.state.lock().waiting.len();
            tracing::warn!(
                "the webhook's receiver did not take the last events in time: {left} left"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use prometheus::IntCounter;

    use super::*;

    fn counts() -> EventCounts {
        let counter = |name: &str| IntCounter::new(name, "test").unwrap();
        EventCounts {
            recorded: counter("recorded"),
            dropped: counter("dropped"),
            delivered: counter("delivered"),
            lost: counter("lost"),
        }
    }

    #[test]
    fn events_are_sent_in_order_and_again_after_a_failure() {
        let (sent, seen) = channel();
        let failures = Mutex::new(2);
        let counts = counts();
        let outbox = Outbox::start(counts.clone(), move |body| {
            let mut left = failures.lock();
            if *left > 0 {
                *left -= 1;
                return Posted::TryAgain("status 503".to_owned());
            }
            sent.send(body.to_owned()).unwrap();
            Posted::Delivered
        })
        .unwrap();
        for body in ["one", "two"] {
            outbox.push(body.to_owned());
        }
        assert_eq!(seen.recv_timeout(Duration::from_mins(1)).unwrap(), "one");
        assert_eq!(seen.recv_timeout(Duration::from_mins(1)).unwrap(), "two");
        drop(outbox);
        assert_eq!((counts.delivered.get(), counts.lost.get()), (2, 0));
    }

    #[test]
    fn i11_a_stuck_receiver_costs_bounded_memory_and_no_one_waits() {
        let (go, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let counts = counts();
        let outbox = Outbox::start(counts.clone(), move |_| {
            let _ = gate.lock().recv();
            Posted::Refused("gone".to_owned())
        })
        .unwrap();
        for _ in 0..MAX_WAITING + 10 {
            outbox.push("event".to_owned());
        }
        assert!(counts.lost.get() >= 9, "{}", counts.lost.get());
        assert!(outbox.shared.state.lock().waiting.len() <= MAX_WAITING);
        drop(go);
        drop(outbox);
        assert_eq!(counts.delivered.get(), 0);
    }
}
