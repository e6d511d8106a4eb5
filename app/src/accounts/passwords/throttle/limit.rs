//! One rate limit over a fixed number of places: the generic cell rate algorithm (GCRA).
//!
//! A place holds its theoretical arrival time: the moment at which everything that was counted is
//! forgiven. Each attempt moves it one interval on, and an attempt is refused when it is too far
//! ahead of the present.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A limit of `burst` attempts at once and one more per `interval`, for each of its places.
pub(super) struct Limit {
    /// Theoretical arrival times in nanoseconds. Relaxed access suffices: they guard no other data.
    places: Box<[AtomicU64]>,
    interval: u64,
    /// How far ahead of the present an arrival time may be when an attempt is admitted.
    tolerance: u64,
}

impl Limit {
    pub(super) fn new(places: usize, burst: NonZeroU32, interval: Duration) -> Self {
        let interval = nanoseconds(interval).max(1);
        Self {
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
            interval,
            tolerance: interval.saturating_mul(u64::from(burst.get() - 1)),
        }
    }

    /// Counts one attempt at `now`, a time that is never set back.
    ///
    /// # Errors
    /// The time to wait until an attempt is admitted. The refused one is not counted.
    pub(super) fn count(&self, place: usize, now: Duration) -> Result<(), Duration> {
        let now = nanoseconds(now);
        let admitted = |arrival: u64| {
            let arrival = arrival.max(now);
            (arrival - now <= self.tolerance).then(|| arrival.saturating_add(self.interval))
        };
        let counted =
            self.place(place)
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admitted);
        match counted {
            Ok(_) => Ok(()),
            Err(arrival) => Err(Duration::from_nanos(arrival - now - self.tolerance)),
        }
    }

    /// Takes back one attempt that was counted.
    pub(super) fn refund(&self, place: usize) {
        let back = |arrival: u64| Some(arrival.saturating_sub(self.interval));
        // Cannot fail, because `back` always returns a value.
        let _ = self
            .place(place)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
    }

    fn place(&self, place: usize) -> &AtomicU64 {
        &self.places[place % self.places.len()]
    }
}

/// The duration in nanoseconds, at most some 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn limit(burst: u32) -> Limit {
        Limit::new(4, NonZeroU32::new(burst).unwrap(), INTERVAL)
    }

    /// Counts attempts at one place until one is refused, and returns how many were admitted.
    fn admitted(limit: &Limit, place: usize, now: Duration) -> usize {
        (0..1000)
            .take_while(|_| limit.count(place, now).is_ok())
            .count()
    }

    #[test]
    fn a_burst_is_admitted_at_once_and_its_successor_is_not() {
        for now in [Duration::ZERO, Duration::from_hours(1000)] {
            for burst in [1, 2, 10] {
                let limit = limit(burst);
                assert_eq!(admitted(&limit, 0, now), burst as usize);
                assert_eq!(limit.count(0, now), Err(INTERVAL));
                assert_eq!(admitted(&limit, 1, now), burst as usize, "another place");
            }
        }
    }

    #[test]
    fn one_attempt_is_forgiven_per_interval_and_never_more_than_a_burst() {
        let limit = limit(3);
        let start = Duration::from_secs(7);
        assert_eq!(admitted(&limit, 0, start), 3);
        let early = start + Duration::from_secs(29);
        assert_eq!(limit.count(0, early), Err(Duration::from_secs(1)));
        assert_eq!(admitted(&limit, 0, start + INTERVAL), 1);
        assert_eq!(admitted(&limit, 0, start + INTERVAL * 3), 2);
        assert_eq!(admitted(&limit, 0, start + INTERVAL * 100), 3);
    }

    #[test]
    fn a_refused_attempt_does_not_prolong_the_wait() {
        let limit = limit(1);
        limit.count(0, Duration::ZERO).unwrap();
        for second in 0..30 {
            let wait = Duration::from_secs(30 - second);
            assert_eq!(limit.count(0, Duration::from_secs(second)), Err(wait));
        }
        assert_eq!(limit.count(0, INTERVAL), Ok(()));
    }

    #[test]
    fn a_refund_makes_room_for_one_attempt() {
        let limit = limit(3);
        let now = Duration::from_secs(7);
        assert_eq!(admitted(&limit, 0, now), 3);
        limit.refund(0);
        assert_eq!(admitted(&limit, 0, now), 1);
        limit.refund(0);
        limit.refund(0);
        assert_eq!(admitted(&limit, 0, now), 2);
    }

    #[test]
    fn refunds_admit_no_more_than_a_burst() {
        let limit = limit(3);
        let now = Duration::from_secs(7);
        for _ in 0..10 {
            limit.refund(0);
        }
        assert_eq!(admitted(&limit, 0, now), 3);
        // Time has forgiven these three, so nothing is left to take back.
        let later = now + INTERVAL * 3;
        limit.refund(0);
        assert_eq!(admitted(&limit, 0, later), 3);
    }

    #[test]
    fn many_at_once_are_counted_one_by_one() {
        let limit = limit(100);
        let now = Duration::from_secs(7);
        let at_once = |attempt: &(dyn Fn() -> usize + Sync)| -> usize {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
                threads.into_iter().map(|one| one.join().unwrap()).sum()
            })
        };
        assert_eq!(at_once(&|| admitted(&limit, 0, now)), 100);
        let refund = || {
            (0..10).for_each(|_| limit.refund(0));
            0
        };
        at_once(&refund);
        assert_eq!(at_once(&|| admitted(&limit, 0, now)), 80);
        // Attempts that are all taken back leave nothing behind, in whatever order that happens.
        let and_back = || {
            let counted = (0..1000).filter(|_| {
                let is_admitted = limit.count(1, now).is_ok();
                if is_admitted {
                    limit.refund(1);
                }
                is_admitted
            });
            counted.count()
        };
        assert_eq!(at_once(&and_back), 8000);
        assert_eq!(admitted(&limit, 1, now), 100);
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let burst = NonZeroU32::MAX;
        let limit = Limit::new(1, burst, Duration::MAX);
        assert_eq!(admitted(&limit, 0, Duration::MAX), 1000);
        let limit = Limit::new(1, NonZeroU32::MIN, Duration::ZERO);
        assert_eq!(admitted(&limit, 0, Duration::ZERO), 1);
    }
}
