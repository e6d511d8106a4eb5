//! [`ManualClock`]: a clock that a test moves.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use crate::session::Clock;

/// A clock for tests that stands still until it is moved. Moving it back simulates a clock that was
/// set: its monotonic time stays the same.
///
/// # Example
///
/// ```
/// use chrono::TimeDelta;
/// use rocket_diesel_sessions::Clock;
/// use rocket_diesel_sessions::testing::ManualClock;
///
/// let clock = ManualClock::starting_now();
/// let before = clock.now();
/// clock.advance(TimeDelta::hours(25));
/// assert_eq!(clock.now() - before, TimeDelta::hours(25));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<Manual>);

#[derive(Debug)]
struct Manual {
    time: DateTime<Utc>,
    monotonic: Duration,
}

impl ManualClock {
    /// Creates a clock that shows `time`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Clock;
    /// use rocket_diesel_sessions::testing::ManualClock;
    ///
    /// let clock = ManualClock::starting_at("2026-01-02T09:00:00Z".parse().unwrap());
    /// assert_eq!(clock.now().to_rfc3339(), "2026-01-02T09:00:00+00:00");
    /// ```
    pub fn starting_at(time: DateTime<Utc>) -> Self {
        Self(Mutex::new(Manual {
            time: time.trunc_subsecs(6),
            monotonic: Duration::ZERO,
        }))
    }

    /// Creates a clock that shows the time of this call.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Clock;
    /// use rocket_diesel_sessions::testing::ManualClock;
    ///
    /// let clock = ManualClock::starting_now();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn starting_now() -> Self {
        Self::starting_at(Utc::now())
    }

    /// Moves the clock forward, or back if `by` is negative.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::TimeDelta;
    /// use rocket_diesel_sessions::Clock;
    /// use rocket_diesel_sessions::testing::ManualClock;
    ///
    /// let clock = ManualClock::starting_now();
    /// clock.advance(TimeDelta::hours(1));
    /// clock.advance(TimeDelta::hours(-1));
    /// assert_eq!(clock.monotonic().as_secs(), 3600);
    /// ```
    pub fn advance(&self, by: TimeDelta) {
        let mut clock = self.lock();
        clock.time += by;
        clock.monotonic += by.to_std().unwrap_or_default();
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.0.lock()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.lock().time
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn is_real(&self) -> bool {
        false
    }
}
