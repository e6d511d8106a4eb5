//! The thread that deletes expired sessions every hour.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::thread::{Background, Schedule, Stop};
use crate::session::observe::monitor::{AUDIT_LOG, Monitor};
use crate::session::observe::seldom::Seldom;
use crate::session::pipeline::Sweep;
use crate::store::admin::{BREATH, SweepReport};

/// Time from the start to the first pass. A random delay is added, so that instances that start
/// together do not sweep together.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Maximum of that random delay.
const MAX_JITTER: Duration = Duration::from_secs(30);

/// Runs a sweep pass every `cleanup_interval`.
pub(crate) struct Sweeper {
    sweep: Arc<Sweep>,
    monitor: Arc<Monitor>,
    /// Limits how often failures are logged.
    failure: Seldom,
}

impl Sweeper {
    pub(crate) fn new(sweep: Arc<Sweep>, monitor: Arc<Monitor>) -> Self {
        Self {
            sweep,
            monitor,
            failure: Seldom::default(),
        }
    }

    /// Starts the thread `session-sweeper`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        let first = FIRST_DELAY.min(interval) + jitter(MAX_JITTER.min(interval / 2));
        let schedule = Schedule { first, interval };
        Background::start("session-sweeper", schedule, move |stop| self.pass(stop))
    }

    /// Runs one pass of the thread. Returns whether it succeeded.
    fn pass(&self, stop: &Stop) -> bool {
        let began = Instant::now();
        match self.sweep.pass(|| stop.within(BREATH)) {
            Ok(SweepReport { deleted, elapsed }) if deleted > 0 => {
                tracing::info!(
                    target: AUDIT_LOG, event = "swept", by = "sweeper", deleted,
                    "swept {deleted} expired sessions in {elapsed:.1?}"
                );
                true
            }
            Ok(_) => {
                tracing::debug!("there were no expired sessions to sweep");
                true
            }
            Err(error) if self.monitor.is_reported(&error, began) => false,
            Err(error) => {
                let failure = format_args!(
                    "the sweep of expired sessions failed and will be tried again: {error}"
                );
                self.monitor.background_failed(&self.failure, failure);
                false
            }
        }
    }
}

fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
