//! Writes usage to the statistics, every minute, and samples how many sessions are live.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::background::{Background, Schedule};
use super::clock::Clock;
use super::monitor::Monitor;
use super::usage::hour;
use crate::store::{Census, StatsStore, StoreError, UsageDelta};

/// Sessions up to this number are counted whenever somebody asks; that takes milliseconds.
pub(crate) const COUNTED_AT_ONCE: u32 = 10_000;

/// A sample of a large table waits this many times as long as the last one took: counting costs a
/// percent of the time at most.
const PATIENCE: u32 = 100;

/// How often old statistics are forgotten.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

pub(crate) struct Recorder {
    stats: Arc<dyn StatsStore>,
    monitor: Arc<Monitor>,
    clock: Arc<dyn Clock>,
    retention: TimeDelta,
    state: Mutex<State>,
}

struct State {
    /// The last count of live sessions.
    census: Census,
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
    ) -> Self {
        Self {
            stats,
            monitor,
            clock,
            retention: TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX),
            state: Mutex::new(State {
                census: Census::default(),
                next_census: Instant::now(),
                forgotten_at: None,
            }),
        }
    }

    /// Starts the thread `session-recorder`.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> std::io::Result<Background> {
        let schedule = Schedule {
            first: interval,
            interval,
        };
        Background::start("session-recorder", schedule, move |_| match self.record() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("session statistics could not be written, they will be: {error}");
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
        let census = self.census(now)?.0;
        self.write(Some(census))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .forgotten_at
            .is_none_or(|last| now - last >= FORGET_EVERY)
        {
            self.stats.forget(now - self.retention, now)?;
            state.forgotten_at = Some(now);
        }
        Ok(())
    }

    /// How many sessions are live, and whether that is exact: counted now if they are few, or if
    /// the last count is old enough.
    pub(crate) fn census(&self, now: DateTime<Utc>) -> Result<(Census, bool), StoreError> {
        if let Some(census) = self.stats.census(now, Some(COUNTED_AT_ONCE))? {
            self.keep(census);
            return Ok((census, true));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        if start >= state.next_census {
            if let Some(census) = self.stats.census(now, None)? {
                state.census = census;
            }
            state.next_census = Instant::now() + start.elapsed() * PATIENCE;
        }
        let census = state.census;
        drop(state);
        self.keep(census);
        Ok((census, false))
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
        // After a broken connection nobody knows whether it was written: rather not twice.
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
