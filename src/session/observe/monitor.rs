//! The single recipient of everything that happens to sessions. It passes events on to metrics,
//! statistics and the application's hooks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::context::EventContext;
use super::event_log::EventLog;
use super::events::{Facts, Hook, SessionEvent, SessionEventKind};
use super::metrics::Metrics;
use super::prepared::PreparedEvent;
use super::seldom::{Seldom, one_line};
use super::usage::Usage;
use super::watchers::Watchers;
use crate::session::clock::Clock;
use crate::store::{
    EndReason, LoginSession, NewSession, SessionHandle, SessionRecord, StoreError, SweepOutcome,
    UserId,
};

/// Target of the security-relevant log lines.
pub const AUDIT_LOG: &str = "rocket_diesel_sessions::audit";

/// Reports a failure to the breaker, and when the failed work began. Returns whether the breaker
/// logs it.
type Learn = Box<dyn Fn(&StoreError, Instant) -> bool + Send + Sync>;

pub(crate) struct Monitor {
    pub(crate) metrics: Metrics,
    /// Usage that has yet to be written to the statistics, if it is.
    pub(super) usage: Option<Usage>,
    pub(crate) watchers: Arc<Watchers>,
    /// Whether the database is known to be down. Set by the breaker.
    pub(crate) outage: Arc<AtomicBool>,
    breaker: OnceLock<Learn>,
    hooks: RwLock<Vec<Hook>>,
    /// Events that have yet to be recorded, if they are.
    pub(super) log: Option<Arc<EventLog>>,
    /// Sends events elsewhere, if they are.
    webhook: OnceLock<Hook>,
    clock: Arc<dyn Clock>,
}

/// What a monitor collects for the database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keeps {
    pub(crate) events: bool,
    pub(crate) usage: bool,
}

impl Monitor {
    /// Creates a monitor with its metrics. What it keeps, an [`Archive`](super::archive::Archive) and
    /// [`Statistics`](super::statistics::Statistics) have to write.
    ///
    /// # Errors
    /// Fails as [`Metrics::new`] does.
    pub(crate) fn new(
        hooks: Vec<Hook>,
        keeps: Keeps,
        clock: Arc<dyn Clock>,
    ) -> prometheus::Result<Self> {
        let metrics = Metrics::new()?;
        Ok(Self {
            log: keeps
                .events
                .then(|| Arc::new(EventLog::new(metrics.events.dropped.clone()))),
            watchers: Arc::new(Watchers::new(metrics.watchers.clone())),
            metrics,
            usage: keeps.usage.then(Usage::new),
            outage: Arc::default(),
            breaker: OnceLock::new(),
            hooks: RwLock::new(hooks),
            webhook: OnceLock::new(),
            clock,
        })
    }

    /// Adds the hooks of another kind of session.
    pub(crate) fn add_hooks(&self, hooks: Vec<Hook>) {
        self.hooks.write().extend(hooks);
    }

    /// Connects a webhook.
    #[cfg(feature = "webhook")]
    pub(crate) fn send_to(&self, webhook: Hook) {
        // This is called once, because the webhook is a setting of the store.
        let _ = self.webhook.set(webhook);
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

    pub(crate) fn created(&self, new: &NewSession, context: &EventContext) {
        self.metrics.created.inc();
        self.count_created();
        let facts = Facts {
            user: new.user_id.clone(),
            session_kind: new.kind.clone(),
            context: context.clone(),
        };
        self.tell([&new.id], SessionEventKind::Created, &facts);
    }

    pub(crate) fn rotated(&self, session: &SessionRecord, context: &EventContext) {
        self.metrics.rotated.inc();
        let facts = Facts {
            user: session.user_id.clone(),
            session_kind: session.kind.clone(),
            context: context.clone(),
        };
        self.tell([&session.id], SessionEventKind::Rotated, &facts);
    }

    /// Reports a committed login into the session `kept`, or into a new one.
    pub(crate) fn signed_in(
        &self,
        login: &LoginSession,
        kept: Option<&SessionHandle>,
        context: &EventContext,
    ) {
        let user = login.signed_in_user().cloned();
        let is_signed_in = user.is_some();
        let mut facts = Facts {
            user,
            session_kind: login.fresh.kind.clone(),
            context: context.clone(),
        };
        let id = if let Some(id) = kept {
            self.metrics.rotated.inc();
            self.tell([id], SessionEventKind::Rotated, &facts);
            id
        } else {
            self.metrics.created.inc();
            self.count_created();
            self.tell([&login.fresh.id], SessionEventKind::Created, &facts);
            &login.fresh.id
        };
        if is_signed_in {
            self.metrics.logins.inc();
            self.seen(&login.user_id, login.fresh.now);
            self.tell([id], SessionEventKind::Login, &facts);
        } else {
            facts.user = Some(login.user_id.clone());
            self.tell([id], SessionEventKind::LoginPending, &facts);
        }
    }

    /// Reports a request of a signed-in user.
    pub(crate) fn seen(&self, user_id: &UserId, now: DateTime<Utc>) {
        if let Some(usage) = &self.usage {
            usage.seen(user_id, now);
        }
    }

    fn count_created(&self) {
        if let Some(usage) = &self.usage {
            usage.created(1, self.clock.now());
        }
    }

    /// Reports a login with a browser that its user has never used.
    pub(super) fn new_device(&self, id: &SessionHandle, facts: &Facts) {
        self.tell([id], SessionEventKind::NewDevice, facts);
    }

    /// Makes an event of the application that is reported later.
    pub(crate) fn prepared(
        self: Arc<Self>,
        id: &SessionHandle,
        name: &'static str,
        facts: &Facts,
    ) -> PreparedEvent {
        let kind = SessionEventKind::Noted(name);
        let event = SessionEvent::new(self.clock.now(), id, kind, facts);
        PreparedEvent::new(self, event)
    }

    /// Returns whether someone wants to know the user of a session that ends.
    pub(crate) fn needs_facts(&self) -> bool {
        !self.hooks.read().is_empty() || self.keeps_events()
    }

    /// Returns whether events are recorded or sent.
    fn keeps_events(&self) -> bool {
        self.log.is_some() || self.webhook.get().is_some()
    }

    /// Returns whether a hook or a watcher needs the handles of ended sessions.
    pub(crate) fn needs_handles(&self) -> bool {
        !self.hooks.read().is_empty() || !self.watchers.is_empty()
    }

    pub(crate) fn ended(&self, ids: &[SessionHandle], reason: EndReason, facts: &Facts) {
        self.count_ended(ids.len(), ids, reason, facts);
    }

    pub(crate) fn swept(&self, batch: &SweepOutcome) {
        let (ids, facts) = (&batch.handles, Facts::default());
        self.count_ended(batch.deleted, ids, EndReason::Expired, &facts);
    }

    fn count_ended(&self, number: usize, ids: &[SessionHandle], reason: EndReason, facts: &Facts) {
        if number == 0 {
            return;
        }
        self.metrics.ended(reason, number);
        if let Some(usage) = &self.usage {
            usage.ended(reason, number, self.clock.now());
        }
        self.watchers.wake(ids);
        self.tell(ids, SessionEventKind::Ended(reason), facts);
    }

    fn tell<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a SessionHandle>,
        kind: SessionEventKind,
        facts: &Facts,
    ) {
        if !self.needs_facts() {
            return;
        }
        let now = self.clock.now();
        for id in ids {
            let event = SessionEvent::new(now, id, kind, facts);
            self.report(&event);
            if let Some(log) = &self.log
                && facts.context.is_unknown_device
                && kind == SessionEventKind::Login
                && event.is_of_record()
            {
                log.push_unknown(&event, facts);
            }
        }
    }

    /// Passes an event on to the record, the webhook and the hooks.
    pub(super) fn report(&self, event: &SessionEvent) {
        if event.is_of_record() {
            if let Some(log) = &self.log {
                log.push(event);
            }
            if let Some(webhook) = self.webhook.get() {
                webhook(event);
            }
        }
        for hook in &*self.hooks.read() {
            if catch_unwind(AssertUnwindSafe(|| hook(event))).is_err() {
                tracing::error!("a function passed to `on_event` panicked");
            }
        }
    }
}
