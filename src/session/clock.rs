//! The application's clock, the only source of `now`. It is read once per operation.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

/// The moment from which the process's monotonic time counts.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A source of time. The layers below take `now` as an argument.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the current time, truncated to microseconds, the databases' precision.
    fn now(&self) -> DateTime<Utc>;

    /// Returns the time since a fixed moment on a clock that is never set. Limits use it. The
    /// default implementation reads the system's clock.
    fn monotonic(&self) -> Duration {
        START.elapsed()
    }

    /// Returns whether the clock shows the real time, so that it can be compared with a database's
    /// clock. Default `true`.
    fn is_real(&self) -> bool {
        true
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

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
