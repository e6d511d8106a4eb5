//! Writes usage to the statistics every minute and samples the number of live sessions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use super::thread::{Background, Schedule};
use crate::session::clock::Clock;
use crate::session::observe::monitor::Monitor;
use crate::session::observe::seldom::Seldom;
use crate::session::observe::usage::hour;
use crate::store::{Census, StatsStore, StoreError, UsageDelta};

/// Up to this number, sessions are counted on demand, which takes milliseconds.
pub(crate) const COUNTED_AT_ONCE: u32 = 10_000;

/// The pause between two samples of a large table, as a multiple of the last one's duration.
/// Counting therefore takes at most one percent of the time.
const PATIENCE: u32 = 100;

/// Time from the start to the first sample.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Time between two deletions of old statistics.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

pub(crate) struct Recorder {
    stats: Arc<dyn StatsStore>,
    monitor: Arc<Monitor>,
    clock: Arc<dyn Clock>,
    retention: TimeDelta,
    state: Mutex<State>,
    /// Whether the statistics and the sessions are in the same store.
    is_of_sessions: bool,
    /// Limits how often failures are logged.
    failure: Seldom,
}

struct State {
    /// The last count of live sessions, if there are many.
    census: Option<Census>,
    /// The earliest time of the next count.
    next_census: Instant,
    forgotten_at: Option<DateTime<Utc>>,
}

impl Recorder {
    pub(crate) fn new(
        stats: Arc<dyn StatsStore>,
        monitor: Arc<Monitor>,
        clock: Arc<dyn Clock>,
        retention: Duration,
        is_of_sessions: bool,
    ) -> Self {
        Self {
            stats,
            monitor,
            clock,
            retention: TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX),
            state: Mutex::new(State {
                census: None,
                next_census: Instant::now(),
                forgotten_at: None,
            }),
            is_of_sessions,
            failure: Seldom::default(),
        }
    }

    /// Starts the thread `session-recorder`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        // Soon after the start, so that viewing the statistics of a large table need not wait for a
        // count.
        let schedule = Schedule {
            first: FIRST_DELAY.min(interval),
            interval,
        };
        Background::start("session-recorder", schedule, move |_| match self.record() {
            Ok(()) => true,
            Err(error) => {
                let failure = "session statistics could not be written and will be written later";
                self.failed(failure, &error);
                false
            }
        })
    }

    pub(crate) fn store(&self) -> &dyn StatsStore {
        &*self.stats
    }

    /// Runs one round of the thread.
    fn record(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let census = self.sample(now);
        if let Err(error) = &census {
            self.failed("live sessions could not be counted", error);
        }
        self.write(census.ok().flatten())?;
        let forgotten_at = self.state().forgotten_at;
        if forgotten_at.is_none_or(|last| now - last >= FORGET_EVERY) {
            self.stats.forget(now - self.retention, now)?;
            self.state().forgotten_at = Some(now);
        }
        Ok(())
    }

    /// Returns the number of live sessions and whether it is exact. Few sessions are counted now.
    /// Otherwise this is the last sample, and the caller waits for a count only if there is no
    /// sample yet. Returns `None` if the table could never be counted in time.
    pub(crate) fn census(&self, now: DateTime<Utc>) -> Result<(Option<Census>, bool), StoreError> {
        if let Some(census) = self.few(now)? {
            return Ok((Some(census), true));
        }
        let (last, is_due) = {
            let state = self.state();
            (state.census, Instant::now() >= state.next_census)
        };
        let census = match last {
            None if is_due => self.count(now).ok(),
            last => last,
        };
        Ok((census, false))
    }

    /// Takes a sample for the thread. Returns `None` if none can be taken yet.
    fn sample(&self, now: DateTime<Utc>) -> Result<Option<Census>, StoreError> {
        if let Some(census) = self.few(now)? {
            return Ok(Some(census));
        }
        let state = self.state();
        match state.census {
            last if Instant::now() < state.next_census => Ok(last),
            _ => {
                drop(state);
                self.count(now).map(Some)
            }
        }
    }

    /// Counts the live sessions if there are few.
    fn few(&self, now: DateTime<Utc>) -> Result<Option<Census>, StoreError> {
        let census = self.stats.census(now, Some(COUNTED_AT_ONCE))?;
        if let Some(census) = census {
            self.keep(census);
            self.state().census = None;
        }
        Ok(census)
    }

    /// Counts the live sessions, however many there are.
    fn count(&self, now: DateTime<Utc>) -> Result<Census, StoreError> {
        let start = Instant::now();
        let census = self.stats.census(now, None);
        // Set also after a failure, so that a table that cannot be counted in time is not counted
        // again and again.
        self.state().next_census = Instant::now() + start.elapsed() * PATIENCE;
        let census = census?.unwrap_or_default();
        self.keep(census);
        self.state().census = Some(census);
        Ok(census)
    }

    fn failed(&self, failure: &str, error: &StoreError) {
        if !self.is_of_sessions || !self.monitor.is_reported(error) {
            let failure = format_args!("{failure}: {error}");
            self.monitor.background_failed(&self.failure, failure);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn keep(&self, census: Census) {
        let metrics = &self.monitor.metrics;
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.active_signed_in.set(gauge(census.signed_in));
        let anonymous = census.active.saturating_sub(census.signed_in);
        metrics.active_anonymous.set(gauge(anonymous));
    }

    /// Writes the collected usage, with the sample if there is one.
    pub(crate) fn write(&self, census: Option<Census>) -> Result<(), StoreError> {
        let mut deltas = self.monitor.usage.take();
        if let Some(census) = census {
            let hour = hour(self.clock.now());
            match deltas.iter_mut().find(|delta| delta.hour == hour) {
                Some(delta) => delta.active = census.active,
                None => deltas.push(UsageDelta {
                    active: census.active,
                    ..UsageDelta::new(hour)
                }),
            }
        }
        if deltas.is_empty() {
            return Ok(());
        }
        let written = self.stats.add_usage(&deltas);
        // Usage that may have been written is not written again.
        if written.as_ref().is_err_and(StoreError::is_certain) {
            self.monitor.usage.put_back(deltas);
        }
        written
    }
}

/// Writes the remaining usage when the server stops.
impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(error) = self.write(None) {
            tracing::warn!("the last session statistics could not be written: {error}");
        }
    }
}
