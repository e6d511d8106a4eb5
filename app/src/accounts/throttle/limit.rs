//! One limit over a fixed number of places.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use rocket_diesel_sessions::Clock;

use super::PLACES;

/// One limit over its places.
pub(super) struct Limit {
    limiter: RateLimiter<usize, Places, LimitClock, NoOpMiddleware<Nanos>>,
    places: Places,
    interval: Duration,
    clock: LimitClock,
}

impl Limit {
    pub(super) fn new(burst: NonZeroU32, interval: Duration, clock: &Arc<dyn Clock>) -> Self {
        let quota = Quota::with_period(interval)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let places = Places((0..PLACES).map(|_| AtomicU64::new(0)).collect());
        let clock = LimitClock(Arc::clone(clock));
        Self {
            limiter: RateLimiter::new(quota, places.clone(), clock.clone()),
            places,
            interval: quota.replenish_interval(),
            clock,
        }
    }

    /// Counts one; if there are too many, does not, and says how long to wait.
    pub(super) fn count(&self, place: usize) -> Result<(), Duration> {
        self.limiter.check_key(&place).map_err(|refused| {
            let now = governor::clock::Clock::now(&self.clock);
            refused.wait_time_from(now)
        })
    }

    /// What was counted is forgotten: the place's time, which each one moves on, moves back.
    pub(super) fn take_back(&self, place: usize) {
        let interval = Nanos::from(self.interval).as_u64();
        let back = |time: u64| Some(time.saturating_sub(interval));
        let state = &self.places.0[place % PLACES];
        // Cannot fail: there is always a time before.
        let _ = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, back);
    }
}

/// The application's monotonic clock: the time of day may be set, and would then keep users out.
#[derive(Clone)]
struct LimitClock(Arc<dyn Clock>);

impl governor::clock::Clock for LimitClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}

/// A fixed number of places; 0 is a place where nothing was counted yet.
#[derive(Clone)]
struct Places(Arc<[AtomicU64]>);

impl StateStore for Places {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, place: &usize, change: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let place = &self.0[place % PLACES];
        let mut before = place.load(Ordering::Acquire);
        loop {
            let (result, after) = change((before != 0).then(|| Nanos::new(before)))?;
            let swapped = place.compare_exchange_weak(
                before,
                after.as_u64(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => return Ok(result),
                Err(newer) => before = newer,
            }
        }
    }
}
