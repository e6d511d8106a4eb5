//! The application's clock, the only source of `now`. It is read once per operation.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

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
