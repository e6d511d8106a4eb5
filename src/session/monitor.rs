//! The one place that is told of what happens to sessions, and tells metrics, statistics and the
//! application's hooks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::clock::Clock;
use super::events::{Hook, SessionEvent, SessionEventKind};
use super::metrics::{Metrics, whole};
use super::usage::Usage;
use crate::store::{EndReason, Swept};

pub(crate) struct Monitor {
    pub(crate) metrics: Metrics,
    pub(crate) usage: Usage,
    hooks: Arc<[Hook]>,
    clock: Arc<dyn Clock>,
}

impl Monitor {
    /// # Errors
    /// As for [`Metrics::new`].
    pub(crate) fn new(hooks: Arc<[Hook]>, clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        Ok(Self {
            metrics: Metrics::new()?,
            usage: Usage::new(),
            hooks,
            clock,
        })
    }

    pub(crate) fn is_clock_real(&self) -> bool {
        self.clock.is_real()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn created<'a>(&self, ids: impl ExactSizeIterator<Item = &'a str>) {
        let number = ids.len();
        if number == 0 {
            return;
        }
        self.metrics.created.inc_by(whole(number));
        self.usage.created(number, self.clock.now());
        self.tell(ids, SessionEventKind::Created);
    }

    pub(crate) fn rotated(&self, id: &str) {
        self.metrics.rotated.inc();
        self.tell([id].into_iter(), SessionEventKind::Rotated);
    }

    pub(crate) fn ended(&self, ids: &[String], reason: EndReason) {
        self.count_ended(ids.len(), ids, reason);
    }

    /// Whether anybody wants to know which sessions end.
    pub(crate) fn has_hooks(&self) -> bool {
        !self.hooks.is_empty()
    }

    pub(crate) fn swept(&self, batch: &Swept) {
        self.count_ended(batch.deleted, &batch.handles, EndReason::Expired);
    }

    fn count_ended(&self, number: usize, ids: &[String], reason: EndReason) {
        if number == 0 {
            return;
        }
        self.metrics.ended(reason, number);
        self.usage.ended(reason, number, self.clock.now());
        let ids = ids.iter().map(String::as_str);
        self.tell(ids, SessionEventKind::Ended(reason));
    }

    fn tell<'a>(&self, ids: impl Iterator<Item = &'a str>, kind: SessionEventKind) {
        if self.hooks.is_empty() {
            return;
        }
        for id in ids {
            let id = id.to_owned();
            let event = SessionEvent { id, kind };
            for hook in &*self.hooks {
                if catch_unwind(AssertUnwindSafe(|| hook(&event))).is_err() {
                    tracing::error!("a function given to `on_event` panicked");
                }
            }
        }
    }
}
