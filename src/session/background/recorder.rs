//! Writes usage to the statistics, every minute, and samples how many sessions are live.

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

/// Sessions up to this number are counted whenever somebody asks; that takes milliseconds.
pub(crate) const COUNTED_AT_ONCE: u32 = 10_000;

/// A sample of a large table waits this many times as long as the last one took: counting costs a
/// percent of the time at most.
const PATIENCE: u32 = 100;

/// The first sample comes this long after the start.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// How often old statistics are forgotten.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

pub(crate) struct Recorder {
    stats: Arc<dyn StatsStore>,
    monitor: Arc<Monitor>,
    clock: Arc<dyn Clock>,
    retention: TimeDelta,
    state: Mutex<State>,
    /// Whether the statistics are in the store of the sessions.
    is_of_sessions: bool,
    /// When a failure was last logged.
    failure: Seldom,
}

struct State {
    /// The last count of live sessions, where there are many.
    census: Option<Census>,
    /// When the next one is to be made at the earliest.
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
        // Soon, so that who looks at a large table after a start need not wait for its count.
        let schedule = Schedule {
            first: FIRST_DELAY.min(interval),
            interval,
        };
        Background::start("session-recorder", schedule, move |_| match self.record() {
            Ok(()) => true,
            Err(error) => {
                let failure = "session statistics could not be written and will be later";
                self.failed(failure, &error);
                false
            }
        })
    }

    pub(crate) fn store(&self) -> &dyn StatsStore {
        &*self.stats
    }

    /// A round of the thread.
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

    /// How many sessions are live, and whether that is exact: counted now if they are few. If not,
    /// it is the last sample; only where there is none yet does the caller wait for the count.
    /// `None` where the table could never be counted in time.
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

    /// A sample of the thread; `None` where none can be made yet.
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

    /// Counts if there are few.
    fn few(&self, now: DateTime<Utc>) -> Result<Option<Census>, StoreError> {
        let census = self.stats.census(now, Some(COUNTED_AT_ONCE))?;
        if let Some(census) = census {
            self.keep(census);
            self.state().census = None;
        }
        Ok(census)
    }

    /// Counts, however many there are.
    fn count(&self, now: DateTime<Utc>) -> Result<Census, StoreError> {
        let start = Instant::now();
        let census = self.stats.census(now, None);
        // Also when it failed: a table that cannot be counted in time is not tried all the time.
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

    /// Writes what has been gathered, with a sample if there is one.
    pub(crate) fn write(&self, census: Option<Census>) -> Result<(), StoreError> {
        let mut deltas = self.monitor.usage.take();
        if let Some(census) = census {
            let hour = hour(self.clock.now());
            match deltas.iter_mut().find(|delta| delta.hour == hour) {
                Some(delta) => delta.active = census.active,
                None => deltas.push(UsageDelta {
                    hour,
                    created: 0,
                    ended: [0; 5],
                    active: census.active,
                    users: Vec::new(),
                }),
            }
        }
        if deltas.is_empty() {
            return Ok(());
        }
        let written = self.stats.add_usage(&deltas);
        // After a broken connection it is unknown whether it was written. It is not written again.
        if written.is_err() && !matches!(written, Err(StoreError::Broken(_))) {
            self.monitor.usage.put_back(deltas);
        }
        written
    }
}

/// The last of it, when the server stops.
impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(error) = self.write(None) {
            tracing::warn!("the last session statistics could not be written: {error}");
        }
    }
}
