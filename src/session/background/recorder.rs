//! Writes usage to the statistics every `stats_interval` and samples the number of live sessions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::thread::{Background, Schedule};
use crate::session::observe::monitor::Monitor;
use crate::session::observe::seldom::Seldom;
use crate::session::observe::statistics::Statistics;
use crate::store::StoreError;

/// Time from the start to the first sample.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Time between two deletions of old statistics.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

pub(crate) struct Recorder {
    statistics: Arc<Statistics>,
    monitor: Arc<Monitor>,
    forgotten_at: Mutex<Option<DateTime<Utc>>>,
    /// Whether the statistics and the sessions are in the same store.
    is_of_sessions: bool,
    /// Limits how often failures are logged.
    failure: Seldom,
}

impl Recorder {
    pub(crate) fn new(
        statistics: Arc<Statistics>,
        monitor: Arc<Monitor>,
        is_of_sessions: bool,
    ) -> Self {
        Self {
            statistics,
            monitor,
            forgotten_at: Mutex::default(),
            is_of_sessions,
            failure: Seldom::default(),
        }
    }

    /// Starts the thread `session-recorder`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        // Soon after the start, because views of a large table show no count until there is one.
        let schedule = Schedule {
            first: FIRST_DELAY.min(interval),
            interval,
        };
        Background::start("session-recorder", schedule, move |_| {
            let began = Instant::now();
            let result = self.record(began);
            if let Err(error) = &result {
                let failure = "session statistics could not be written and will be written later";
                self.failed(failure, error, began);
            }
            result.is_ok()
        })
    }

    /// Runs one round of the thread, which began at `began`.
    fn record(&self, began: Instant) -> Result<(), StoreError> {
        let now = self.monitor.now();
        let census = self.statistics.sample(now);
        if let Err(error) = &census {
            self.failed("live sessions could not be counted", error, began);
        }
        self.statistics.write(census.ok().flatten())?;
        let forgotten_at = *self.forgotten_at.lock();
        if forgotten_at.is_none_or(|last| now - last >= FORGET_EVERY) {
            self.statistics.forget_old(now)?;
            *self.forgotten_at.lock() = Some(now);
        }
        Ok(())
    }

    fn failed(&self, failure: &str, error: &StoreError, began: Instant) {
        if !self.is_of_sessions || !self.monitor.is_reported(error, began) {
            let failure = format_args!("{failure}: {error}");
            self.monitor.background_failed(&self.failure, failure);
        }
    }
}
