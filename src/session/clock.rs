//! The application's clock: the one source of `now`, read once a request.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the time. Everything below takes `now` as an argument.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current time, cut to microseconds, which is what the databases keep.
    fn now(&self) -> DateTime<Utc>;

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

/// A clock that stands still until it is moved, so that tests need not wait.
///
/// # Example
///
/// ```
/// use chrono::TimeDelta;
/// use rocket_diesel_sessions::{Clock, ManualClock};
///
/// let clock = ManualClock::starting_now();
/// let before = clock.now();
/// clock.advance(TimeDelta::hours(25));
/// assert_eq!(clock.now() - before, TimeDelta::hours(25));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that shows `time`.
    pub fn starting_at(time: DateTime<Utc>) -> Self {
        Self(Mutex::new(time.trunc_subsecs(6)))
    }

    /// A clock that shows the time of this call.
    pub fn starting_now() -> Self {
        Self::starting_at(Utc::now())
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_real(&self) -> bool {
        false
    }
}
