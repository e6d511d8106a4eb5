//! The deadlines of requests that wait for the store. The thread that watches over the workers wakes
//! them. A timer of the runtime for each request would wake the runtime's driver each time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Instant;

use parking_lot::Mutex;
use rocket::futures::task::AtomicWaker;

/// The requests that wait, in the order of their deadlines.
#[derive(Default)]
pub(in crate::session::pipeline) struct Deadlines {
    waiting: Mutex<VecDeque<(Instant, Arc<Caller>)>>,
}

#[derive(Default)]
struct Caller {
    waker: AtomicWaker,
    is_gone: AtomicBool,
}

/// A caller who waits until this is dropped.
struct Waiting(Arc<Caller>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Deadlines {
    /// Waits for `future` until `deadline`. Returns `None` if it is not ready by then.
    pub(in crate::session::pipeline) async fn wait<F: Future>(
        &self,
        deadline: Instant,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut waiting: Option<Waiting> = None;
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let waiting = waiting.get_or_insert_with(|| self.add(deadline));
            // Before the time is read, so that the deadline cannot pass unnoticed in between.
            waiting.0.waker.register(context.waker());
            if Instant::now() >= deadline {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn add(&self, deadline: Instant) -> Waiting {
        let caller = Arc::<Caller>::default();
        let mut waiting = self.waiting.lock();
        while waiting.front().is_some_and(|(_, first)| first.is_gone()) {
            waiting.pop_front();
        }
        // At the end, unless this caller has already waited for an outage to end.
        let earlier = waiting.iter().rev();
        let later = earlier.take_while(|(other, _)| *other > deadline).count();
        let place = waiting.len() - later;
        waiting.insert(place, (deadline, Arc::clone(&caller)));
        Waiting(caller)
    }

    /// Wakes the callers whose deadlines have passed.
    pub(in crate::session::pipeline) fn wake_late(&self, now: Instant) {
        let mut waiting = self.waiting.lock();
        while let Some((deadline, first)) = waiting.front() {
            if now >= *deadline {
                first.waker.wake();
            } else if !first.is_gone() {
                break;
            }
            waiting.pop_front();
        }
    }
}

impl Caller {
    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use rocket::tokio::runtime::Builder;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn a_future_that_is_ready_is_returned_even_late() {
        let late = Instant::now();
        let output = block_on(Deadlines::default().wait(late, async { 7 }));
        assert_eq!(output, Some(7));
    }

    #[test]
    fn a_caller_is_woken_at_the_deadline() {
        let deadlines = Deadlines::default();
        let deadline = Instant::now() + Duration::from_millis(20);
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| block_on(deadlines.wait(deadline, pending::<()>())));
            while !caller.is_finished() {
                deadlines.wake_late(Instant::now());
                std::thread::yield_now();
            }
            assert_eq!(caller.join().ok(), Some(None));
        });
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn an_earlier_deadline_that_comes_later_counts() {
        let deadlines = Deadlines::default();
        let now = Instant::now();
        let second = |seconds| now + Duration::from_secs(seconds);
        let _waiting = [3, 2, 4, 1].map(|seconds| deadlines.add(second(seconds)));
        for left in [3, 2, 1, 0] {
            deadlines.wake_late(second(4 - left));
            assert_eq!(deadlines.waiting.lock().len() as u64, left);
        }
    }

    #[test]
    fn callers_who_have_gone_leave_nothing_behind() {
        let deadlines = Deadlines::default();
        let deadline = Instant::now() + Duration::from_mins(1);
        for _ in 0..100 {
            drop(deadlines.add(deadline));
        }
        assert_eq!(deadlines.waiting.lock().len(), 1);
        deadlines.wake_late(Instant::now());
        assert_eq!(deadlines.waiting.lock().len(), 0);
    }
}
