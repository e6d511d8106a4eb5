//! A short look for an answer that comes at once. A request that is alone often gets its row sooner
//! than its task could be put to sleep and woken again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rocket::tokio::sync::oneshot::error::TryRecvError;

use crate::session::pipeline::job::{Answer, Failure, abandoned};

/// Time of a look. It blocks a thread of the runtime.
const LENGTH: Duration = Duration::from_micros(60);

/// The number of looks left out after the first in vain is 2, and doubles up to this power of 2.
const MOST_DOUBLINGS: u32 = 10;

/// Looks for answers. If looks are in vain, because the database is far away or busy, they become
/// rare.
#[derive(Default)]
pub(in crate::session::pipeline) struct Glance {
    /// Number of looks in vain since the last successful one.
    in_vain: AtomicU32,
    /// Number of looks to leave out.
    to_skip: AtomicU32,
}

impl Glance {
    /// Looks for an answer. Returns `None` if there is none yet.
    pub(in crate::session::pipeline) fn at<T>(
        &self,
        answer: &mut Answer<T>,
    ) -> Option<Result<T, Failure>> {
        let to_skip = self.to_skip.load(Ordering::Relaxed);
        if to_skip > 0 {
            self.to_skip.store(to_skip - 1, Ordering::Relaxed);
            return None;
        }
        let start = Instant::now();
        while start.elapsed() < LENGTH {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                found => {
                    self.in_vain.store(0, Ordering::Relaxed);
                    return Some(found.unwrap_or_else(|_| Err(abandoned())));
                }
            }
        }
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        let doublings = (in_vain + 1).min(MOST_DOUBLINGS);
        self.in_vain.store(doublings, Ordering::Relaxed);
        self.to_skip.store(1 << doublings, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use rocket::tokio::sync::oneshot::channel;

    use super::*;

    #[test]
    fn an_answer_that_comes_at_once_is_found() {
        let glance = Glance::default();
        let (sender, mut answer) = channel();
        assert!(sender.send(Ok(7)).is_ok());
        assert!(matches!(glance.at(&mut answer), Some(Ok(7))));
        let (sender, mut answer) = channel::<Result<u8, Failure>>();
        drop(sender);
        assert!(matches!(
            glance.at(&mut answer),
            Some(Err(Failure::Error(_)))
        ));
    }

    #[test]
    fn looks_in_vain_become_rare_until_one_succeeds() {
        let glance = Glance::default();
        let (_sender, mut answer) = channel::<Result<u8, Failure>>();
        let mut looks = 0;
        for _ in 0..1000 {
            let before = glance.to_skip.load(Ordering::Relaxed);
            assert!(glance.at(&mut answer).is_none());
            looks += u32::from(before == 0);
        }
        // After 2, 4, 8 … others.
        assert_eq!(looks, 9);
        let (sender, mut found) = channel();
        assert!(sender.send(Ok(7)).is_ok());
        while glance.at(&mut found).is_none() {}
        assert!(glance.at(&mut answer).is_none());
        assert_eq!(glance.to_skip.load(Ordering::Relaxed), 2);
    }
}
