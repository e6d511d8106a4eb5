//! Writes events to the record, and deletes old ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::thread::{Background, Schedule, Stop};
use crate::session::observe::archive::Archive;
use crate::store::StoreError;
use crate::store::admin::BREATH;

/// Time between two writes. An event is seen on other instances this much later.
const INTERVAL: Duration = Duration::from_secs(1);

/// Minimum time between two deletions of old events.
const LEAST_FORGET_EVERY: Duration = Duration::from_hours(1);

pub(crate) struct Archivist {
    archive: Arc<Archive>,
    forget_every: TimeDelta,
    forgotten_at: Mutex<Option<DateTime<Utc>>>,
}

impl Archivist {
    /// Creates an archivist that deletes old events as often as sessions are swept, so that an idle
    /// database is not woken for them.
    pub(crate) fn new(archive: Arc<Archive>, cleanup_interval: Duration) -> Self {
        let forget_every = cleanup_interval.max(LEAST_FORGET_EVERY);
        Self {
            archive,
            forget_every: TimeDelta::from_std(forget_every).unwrap_or(TimeDelta::MAX),
            forgotten_at: Mutex::default(),
        }
    }

    /// Starts the thread `session-events`.
    pub(crate) fn start(self: Arc<Self>) -> std::io::Result<Background> {
        let schedule = Schedule {
            first: INTERVAL,
            interval: INTERVAL,
        };
        Background::start("session-events", schedule, move |stop| self.run(stop))
    }

    /// Works until the thread is to stop or something fails. Returns whether all went well.
    fn run(&self, stop: &Stop) -> bool {
        loop {
            let began = Instant::now();
            if let Err(error) = self.round(stop) {
                let failure = "events of sessions could not be recorded and will be later";
                self.archive.failed(failure, &error, began);
                return false;
            }
            if stop.within(INTERVAL) {
                return true;
            }
        }
    }

    /// Writes the events that wait, and deletes old ones if that is due.
    fn round(&self, stop: &Stop) -> Result<(), StoreError> {
        self.archive.write()?;
        let now = self.archive.now();
        let last = *self.forgotten_at.lock();
        if last.is_none_or(|last| now - last >= self.forget_every) {
            self.archive.forget_old(now, || stop.within(BREATH))?;
            *self.forgotten_at.lock() = Some(now);
        }
        Ok(())
    }
}
