//! The application's clock: the one source of `now`, read once a request.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

/// A moment of this process, from which its monotonic time counts.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time. Everything below takes `now` as an argument.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current time, cut to microseconds, which is what the databases keep.
    fn now(&self) -> DateTime<Utc>;

    /// The time since a fixed moment, on a clock that is never set: what limits are counted by. The
    /// default is the system's.
    fn monotonic(&self) -> Duration {
        START.elapsed()
    }

    /// Returns whether it shows the real time, which a database's clock can be compared with. The
    /// default is that it does.
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

/// A clock that stands still until it is moved, so that tests need not wait. Moved back, it is a clock
/// that was set: its monotonic time stands.
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
    /// A clock that shows `time`.
    pub fn starting_at(time: DateTime<Utc>) -> Self {
        Self(Mutex::new(Manual {
            time: time.trunc_subsecs(6),
            monotonic: Duration::ZERO,
        }))
    }

    /// A clock that shows the time of this call.
    pub fn starting_now() -> Self {
        Self::starting_at(Utc::now())
    }

    /// Moves the clock forward, or sets it back.
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
