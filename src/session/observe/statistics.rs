//! Usage that has yet to be written to the statistics, and samples of the number of live sessions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use super::monitor::Monitor;
use crate::store::admin::{COUNTED_AT_ONCE, SessionCount, SessionStats};
use crate::store::{Census, HourStats, StatsStore, StoreError, UsageDelta};

/// The pause between two samples of a large table, as a multiple of the last one's duration.
/// Counting therefore takes at most one percent of the time.
const PATIENCE: u32 = 100;

/// Maximum time for which a write waits for another.
const LONGEST_WRITE: Duration = Duration::from_secs(1);

/// The statistics of a server: the store of usage, and the usage that this instance has to add.
pub(crate) struct Statistics {
    store: Arc<dyn StatsStore>,
    monitor: Arc<Monitor>,
    retention: TimeDelta,
    samples: Mutex<Samples>,
    /// Held while usage is written.
    writing: Mutex<()>,
}

struct Samples {
    /// The last count of live sessions.
    last: Option<Census>,
    /// The earliest time of the next count.
    next: Instant,
}

impl Statistics {
    pub(crate) fn new(
        store: Arc<dyn StatsStore>,
        monitor: Arc<Monitor>,
        retention: Duration,
    ) -> Self {
        Self {
            store,
            monitor,
            retention: TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX),
            samples: Mutex::new(Samples {
                last: None,
                next: Instant::now(),
            }),
            writing: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &dyn StatsStore {
        &*self.store
    }

    /// Returns whether usage is recorded. If not, nothing samples the sessions every so often either.
    pub(crate) fn records_usage(&self) -> bool {
        self.monitor.usage.is_some()
    }

    /// Deletes statistics whose time is over.
    pub(crate) fn forget_old(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let before = now.checked_sub_signed(self.retention);
        self.store
            .forget(before.unwrap_or(DateTime::UNIX_EPOCH), now)
    }

    /// Does what the recorder would if it ran: takes a sample for the metrics, and deletes statistics
    /// whose time is over.
    pub(crate) fn keep_up(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.sample(now)?;
        self.forget_old(now)
    }

    /// Returns the number of live sessions, and the usage of the last `hours` hours with what this
    /// instance had to add.
    pub(crate) fn read(&self, now: DateTime<Utc>, hours: u32) -> Result<SessionStats, StoreError> {
        let counted = self.counted(now)?;
        // If this fails, this instance's share is only not shown yet.
        if let Err(error) = self.write(counted.census) {
            tracing::debug!("usage could not be written: {error}");
        }
        let stats = SessionStats::of(counted, self.store(), now, hours)?;
        Ok(SessionStats {
            is_recorded: self.records_usage(),
            ..stats
        })
    }

    /// Returns the number of live sessions. Few are counted now. Otherwise this is the last sample if
    /// there is one, and the caller waits for a count only if nothing else takes samples and one is due.
    fn counted(&self, now: DateTime<Utc>) -> Result<SessionCount, StoreError> {
        if let Some(few) = self.few(now)? {
            return Ok(SessionCount {
                census: Some(few),
                is_exact: true,
            });
        }
        let (last, is_due) = {
            let samples = self.samples();
            (samples.last, Instant::now() >= samples.next)
        };
        let census = if is_due && !self.records_usage() {
            self.count(now).ok().or(last)
        } else {
            last
        };
        Ok(SessionCount {
            census,
            is_exact: false,
        })
    }

    /// Takes a sample. Returns `None` if none can be taken yet.
    pub(crate) fn sample(&self, now: DateTime<Utc>) -> Result<Option<Census>, StoreError> {
        if let Some(few) = self.few(now)? {
            return Ok(Some(few));
        }
        let samples = self.samples();
        match samples.last {
            last if Instant::now() < samples.next => Ok(last),
            _ => {
                drop(samples);
                self.count(now).map(Some)
            }
        }
    }

    /// Counts the live sessions if there are few.
    fn few(&self, now: DateTime<Utc>) -> Result<Option<Census>, StoreError> {
        let census = self.store.census(now, Some(COUNTED_AT_ONCE))?;
        if let Some(census) = census {
            self.monitor.metrics.active(census);
            self.samples().last = Some(census);
        }
        Ok(census)
    }

    /// Counts the live sessions, however many there are.
    fn count(&self, now: DateTime<Utc>) -> Result<Census, StoreError> {
        let start = Instant::now();
        let census = self.store.census(now, None);
        // Set also after a failure, so that a table that cannot be counted in time is not counted
        // again and again.
        self.samples().next = Instant::now() + start.elapsed() * PATIENCE;
        let census = census?.unwrap_or_default();
        self.monitor.metrics.active(census);
        self.samples().last = Some(census);
        Ok(census)
    }

    /// Writes the collected usage, with the sample if there is one. Writes nothing if usage is not
    /// recorded. Waits for another thread that is
    /// writing, so that a reader afterwards also finds what that thread has taken.
    pub(crate) fn write(&self, census: Option<Census>) -> Result<(), StoreError> {
        let Some(usage) = &self.monitor.usage else {
            return Ok(());
        };
        // After this time, the other thread is probably stuck.
        let _writing = self.writing.try_lock_for(LONGEST_WRITE);
        let mut deltas = usage.take();
        if let Some(census) = census {
            let hour = HourStats::hour_of(self.monitor.now());
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
        let written = self.store.add_usage(&deltas);
        // Usage that may have been written is not written again.
        if written.as_ref().is_err_and(StoreError::is_certain) {
            usage.put_back(deltas);
        }
        written
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock()
    }
}

/// Writes the remaining usage when the server stops.
impl Drop for Statistics {
    fn drop(&mut self) {
        if let Err(error) = self.write(None) {
            tracing::warn!("the last session statistics could not be written: {error}");
        }
    }
}
