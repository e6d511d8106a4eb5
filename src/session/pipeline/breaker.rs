//! Prevents requests from waiting for a database that does not answer.
//!
//! After a failure of the database itself, operations fail at once with that failure. A probe in
//! the background checks the database, first without delay and then after a back-off. Operations
//! that arrive during a probe wait for its result. Only an answer of the database ends an outage,
//! and a call that began before that answer starts no new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rocket::tokio::sync::Notify;
use rocket::tokio::time::timeout_at;

use crate::session::error::SessionError;
use crate::session::observe::seldom::{REMINDER, one_line};
use crate::store::StoreError;

#[cfg(test)]
mod tests;

const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// A signal to the thread that watches the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nudge {
    /// The database has failed, so a probe is due.
    Probe,
    Stop,
}

pub(super) struct Breaker {
    /// Whether there is an outage. Read by each request.
    is_open: AtomicBool,
    /// Whether an outage has not ended, even if operations are let through; see
    /// [`give_way`](Self::give_way).
    is_known: Arc<AtomicBool>,
    state: Mutex<State>,
    /// Signals that a probe has returned or the outage has ended.
    changed: Condvar,
    notify: Notify,
    /// Wakes the thread that sends probes.
    nudge: Sender<Nudge>,
    /// Time after which a probe that has not returned is abandoned, so that another may run.
    patience: Duration,
}

#[derive(Default)]
struct State {
    outage: Option<Outage>,
    /// When the last outage ended.
    recovered: Option<Instant>,
}

struct Outage {
    began: Instant,
    /// When the outage was last logged.
    logged: Instant,
    /// Number of operations that were answered 503 because of the outage.
    refused: u64,
    reason: String,
    backoff: Duration,
    probe: Probe,
}

#[derive(Clone, Copy)]
enum Probe {
    /// To be sent at this time.
    Due(Instant),
    /// Sent at this time.
    Sent(Instant),
    /// None can be sent, so operations have to find out themselves.
    Impossible,
}

impl Breaker {
    /// Creates a closed breaker. It sets `is_known` to whether there is an outage.
    pub(super) fn new(nudge: Sender<Nudge>, patience: Duration, is_known: Arc<AtomicBool>) -> Self {
        Self {
            is_open: AtomicBool::new(false),
            is_known,
            state: Mutex::default(),
            changed: Condvar::new(),
            notify: Notify::new(),
            nudge,
            patience,
        }
    }

    /// Checks that there is no outage.
    ///
    /// # Errors
    /// Fails during an outage.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        match &self.lock().outage {
            Some(outage) if !matches!(outage.probe, Probe::Impossible) => Err(outage.error()),
            _ => Ok(()),
        }
    }

    /// Waits for the result of a running probe, at most until the deadline.
    ///
    /// # Errors
    /// Fails during an outage.
    pub(super) async fn ready(&self, deadline: Instant) -> Result<(), SessionError> {
        loop {
            if !self.is_open.load(Ordering::Acquire) {
                return Ok(());
            }
            // Created before the state is read, so that no change is missed.
            let changed = self.notify.notified();
            match &self.lock().outage {
                None
                | Some(Outage {
                    probe: Probe::Impossible,
                    ..
                }) => return Ok(()),
                Some(outage) if !outage.is_probed(Instant::now()) => return Err(outage.error()),
                Some(_) => {}
            }
            if timeout_at(deadline.into(), changed).await.is_err() {
                return self.check();
            }
        }
    }

    /// Waits like [`ready`](Self::ready), on a thread that may block.
    ///
    /// # Errors
    /// Fails during an outage.
    pub(super) fn enter(&self, deadline: Instant) -> Result<(), SessionError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match &state.outage {
                None
                | Some(Outage {
                    probe: Probe::Impossible,
                    ..
                }) => return Ok(()),
                Some(outage) if now >= deadline || !outage.is_probed(now) => {
                    return Err(outage.error());
                }
                Some(_) => {
                    self.changed.wait_until(&mut state, deadline);
                }
            }
        }
    }

    /// Returns whether a probe is due, and if so counts it as sent.
    pub(super) fn sends_probe(&self, now: Instant) -> bool {
        if !self.is_open.load(Ordering::Acquire) {
            return false;
        }
        let mut state = self.lock();
        let Some(outage) = &mut state.outage else {
            return false;
        };
        if let Some(reminder) = outage.reminder(now) {
            tracing::warn!("{reminder}");
        }
        let is_due = match outage.probe {
            Probe::Due(due) => now >= due,
            Probe::Sent(sent) => now.duration_since(sent) >= self.patience,
            Probe::Impossible => false,
        };
        if is_due {
            outage.probe = Probe::Sent(now);
        }
        is_due
    }

    /// Lets operations through because no probe can be sent. The next failure closes the way again.
    pub(super) fn give_way(&self) {
        if let Some(outage) = &mut self.lock().outage {
            outage.probe = Probe::Impossible;
            self.is_open.store(false, Ordering::Release);
        }
        self.wake();
    }

    /// Counts an operation that is answered 503, if there is an outage.
    pub(super) fn refused(&self) {
        if self.is_known.load(Ordering::Acquire)
            && let Some(outage) = &mut self.lock().outage
        {
            outage.refused += 1;
        }
    }

    /// Learns from the result of a probe.
    pub(super) fn probed(&self, failure: Option<&StoreError>) {
        match failure {
            Some(error) if !is_answer(error) && !is_full(error) => self.still_failing(error),
            _ => self.recovered(),
        }
    }

    /// Learns from the result of another call, which began at `began`. A result that says nothing
    /// about the database changes nothing.
    pub(super) fn learn(&self, failure: Option<&StoreError>, began: Instant) {
        match failure {
            None => self.recovered(),
            Some(error) if is_outage(error) => self.failed(error, began),
            Some(error) if is_answer(error) => self.recovered(),
            Some(_) => {}
        }
    }

    /// Learns from a failure in the background, of work that began at `began`. Returns whether the
    /// breaker logs it.
    pub(super) fn reports(&self, error: &StoreError, began: Instant) -> bool {
        self.learn(Some(error), began);
        is_reported(error)
    }

    fn failed(&self, error: &StoreError, call_began: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        let is_old = state.recovered.is_some_and(|time| call_began < time);
        match &mut state.outage {
            Some(outage) if matches!(outage.probe, Probe::Impossible) => {
                outage.probe = Probe::Due(now);
            }
            Some(_) => return,
            None if is_old => return,
            None => {
                let reason = one_line(error);
                tracing::warn!("the database fails, requests are answered 503: {reason}");
                state.outage = Some(Outage {
                    began: now,
                    logged: now,
                    refused: 0,
                    reason: error.to_string(),
                    backoff: FIRST_BACKOFF,
                    probe: Probe::Due(now),
                });
                self.is_known.store(true, Ordering::Release);
            }
        }
        self.is_open.store(true, Ordering::Release);
        drop(state);
        // Fails only after the pipeline has ended.
        let _ = self.nudge.send(Nudge::Probe);
    }

    fn still_failing(&self, error: &StoreError) {
        if let Some(outage) = &mut self.lock().outage
            && !matches!(outage.probe, Probe::Impossible)
        {
            outage.reason = error.to_string();
            outage.probe = Probe::Due(Instant::now() + outage.backoff);
            outage.backoff = (outage.backoff * 2).min(MAX_BACKOFF);
        }
        self.wake();
    }

    fn recovered(&self) {
        if !self.is_known.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        if let Some(outage) = state.outage.take() {
            state.recovered = Some(Instant::now());
            let (lasted, refused) = (outage.began.elapsed(), outage.refused);
            tracing::warn!(
                "the database is back after {lasted:.1?}; {}",
                refusals(refused)
            );
        }
        self.is_open.store(false, Ordering::Release);
        self.is_known.store(false, Ordering::Release);
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Outage {
    /// Returns whether a probe is running or due.
    fn is_probed(&self, now: Instant) -> bool {
        match self.probe {
            Probe::Due(due) => now >= due,
            Probe::Sent(_) => true,
            Probe::Impossible => false,
        }
    }

    /// Returns the log line about an ongoing outage if it is due.
    fn reminder(&mut self, now: Instant) -> Option<String> {
        if now.saturating_duration_since(self.logged) < REMINDER {
            return None;
        }
        self.logged = now;
        let lasted = now.saturating_duration_since(self.began);
        Some(format!(
            "the database has been failing for {lasted:.0?}; {}: {}",
            refusals(self.refused),
            one_line(&self.reason)
        ))
    }

    fn error(&self) -> SessionError {
        let reason = self.reason.clone();
        StoreError::Outage { reason }.into()
    }
}

fn refusals(number: u64) -> String {
    match number {
        1 => "1 request was refused".to_owned(),
        _ => format!("{number} requests were refused"),
    }
}

/// Returns whether the breaker logs this failure, so that others need not.
pub(super) fn is_reported(error: &StoreError) -> bool {
    is_outage(error) || matches!(error, StoreError::Outage { .. })
}

/// Returns whether the database itself is at fault, rather than one statement. An unexplained error
/// counts as such, because a probe will find out.
fn is_outage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Broken(_) | StoreError::Connect { .. } | StoreError::Other(_)
    )
}

/// Returns whether the server is alive but has no room for another connection. The pool's
/// connections may still work.
fn is_full(error: &StoreError) -> bool {
    const TEXTS: [&str; 2] = ["too many", "remaining connection slots"];
    matches!(error, StoreError::Connect { reason, .. }
        if TEXTS.iter().any(|text| reason.contains(text)))
}

/// Returns whether the database has answered, even if it refused.
fn is_answer(error: &StoreError) -> bool {
    error.is_of_statement()
        || matches!(
            error,
            StoreError::Serialization(_) | StoreError::ReadOnly(_) | StoreError::Held
        )
}
