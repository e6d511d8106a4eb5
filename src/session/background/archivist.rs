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

/// Time between two deletions of old events.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

pub(crate) struct Archivist {
    archive: Arc<Archive>,
    forgotten_at: Mutex<Option<DateTime<Utc>>>,
}

impl Archivist {
    pub(crate) fn new(archive: Arc<Archive>) -> Self {
        Self {
            archive,
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
        if last.is_none_or(|last| now - last >= FORGET_EVERY) {
            self.archive.forget_old(now, || stop.within(BREATH))?;
            *self.forgotten_at.lock() = Some(now);
        }
        Ok(())
    }
}
