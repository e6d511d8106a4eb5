//! The single recipient of everything that happens to sessions. It passes events on to metrics,
//! statistics and the application's hooks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::events::{Hook, SessionEvent, SessionEventKind};
use super::metrics::{Metrics, whole};
use super::seldom::{Seldom, one_line};
use super::usage::Usage;
use super::watchers::Watchers;
use crate::session::clock::Clock;
use crate::store::{EndReason, SessionHandle, StoreError, SweepOutcome};

/// Target of the security-relevant log lines.
pub const AUDIT_LOG: &str = "rocket_diesel_sessions::audit";

/// Reports a failure to the breaker, and when the failed work began. Returns whether the breaker
/// logs it.
type Learn = Box<dyn Fn(&StoreError, Instant) -> bool + Send + Sync>;

pub(crate) struct Monitor {
    pub(crate) metrics: Metrics,
    pub(crate) usage: Usage,
    pub(crate) watchers: Arc<Watchers>,
    /// Whether the database is known to be down. Set by the breaker.
    pub(crate) outage: Arc<AtomicBool>,
    breaker: OnceLock<Learn>,
    hooks: RwLock<Vec<Hook>>,
    clock: Arc<dyn Clock>,
}

impl Monitor {
    /// Creates a monitor with its metrics.
    ///
    /// # Errors
    /// Fails as [`Metrics::new`] does.
    pub(crate) fn new(hooks: Vec<Hook>, clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let metrics = Metrics::new()?;
        Ok(Self {
            watchers: Arc::new(Watchers::new(metrics.watchers.clone())),
            metrics,
            usage: Usage::new(),
            outage: Arc::default(),
            breaker: OnceLock::new(),
            hooks: RwLock::new(hooks),
            clock,
        })
    }

    /// Adds the hooks of another kind of session.
    pub(crate) fn add_hooks(&self, hooks: Vec<Hook>) {
        self.hooks.write().extend(hooks);
    }

    pub(crate) fn is_clock_real(&self) -> bool {
        self.clock.is_real()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Connects the breaker, so that it learns of failures in the background.
    pub(crate) fn attach(&self, breaker: Learn) {
        // This is called once, because there is one pipeline.
        let _ = self.breaker.set(breaker);
    }

    /// Reports a failure in the background to the breaker, of work that began at `began`. Returns
    /// whether the breaker logs it.
    pub(crate) fn is_reported(&self, error: &StoreError, began: Instant) -> bool {
        self.breaker.get().is_some_and(|learn| learn(error, began))
    }

    /// Logs a failure in the background that the breaker does not log: as a warning at most once a
    /// minute, otherwise, and during an outage, at level debug.
    pub(crate) fn background_failed(&self, seldom: &Seldom, failure: std::fmt::Arguments<'_>) {
        let failure = one_line(failure);
        if self.outage.load(Ordering::Acquire) || !seldom.is_due(Instant::now()) {
            tracing::debug!("{failure}");
        } else {
            tracing::warn!("{failure}");
        }
    }

    pub(crate) fn created<'a>(&self, ids: impl ExactSizeIterator<Item = &'a SessionHandle>) {
        let number = ids.len();
        if number == 0 {
            return;
        }
        self.metrics.created.inc_by(whole(number));
        self.usage.created(number, self.clock.now());
        self.tell(ids, SessionEventKind::Created);
    }

    pub(crate) fn rotated(&self, id: &SessionHandle) {
        self.metrics.rotated.inc();
        self.tell([id].into_iter(), SessionEventKind::Rotated);
    }

    pub(crate) fn ended(&self, ids: &[SessionHandle], reason: EndReason) {
        self.count_ended(ids.len(), ids, reason);
    }

    /// Returns whether a hook or a watcher needs the handles of ended sessions.
    pub(crate) fn needs_handles(&self) -> bool {
        !self.hooks.read().is_empty() || !self.watchers.is_empty()
    }

    pub(crate) fn swept(&self, batch: &SweepOutcome) {
        self.count_ended(batch.deleted, &batch.handles, EndReason::Expired);
    }

    fn count_ended(&self, number: usize, ids: &[SessionHandle], reason: EndReason) {
        if number == 0 {
            return;
        }
        self.metrics.ended(reason, number);
        self.usage.ended(reason, number, self.clock.now());
        self.watchers.wake(ids);
        self.tell(ids.iter(), SessionEventKind::Ended(reason));
    }

    fn tell<'a>(&self, ids: impl Iterator<Item = &'a SessionHandle>, kind: SessionEventKind) {
        let hooks = self.hooks.read();
        if hooks.is_empty() {
            return;
        }
        for id in ids {
            let id = id.clone();
            let event = SessionEvent { id, kind };
            for hook in &*hooks {
                if catch_unwind(AssertUnwindSafe(|| hook(&event))).is_err() {
                    tracing::error!("a function passed to `on_event` panicked");
                }
            }
        }
    }
}
