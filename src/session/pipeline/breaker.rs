//! Keeps requests from waiting for a database that does not answer.
//!
//! After a failure of the database itself, operations fail at once with that failure. A probe in
//! the background looks for the database, at first without delay and then after a back-off;
//! operations that come while it looks wait for what it finds. Only an answer of the database ends
//! an outage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rocket::tokio::sync::Notify;
use rocket::tokio::time::timeout_at;

use super::Nudge;
use crate::session::SessionError;
use crate::store::StoreError;

const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

pub(super) struct Breaker {
    /// Whether there is an outage: read by each request.
    is_open: AtomicBool,
    outage: Mutex<Option<Outage>>,
    /// A probe has come back, or the outage is over.
    changed: Condvar,
    notify: Notify,
    /// Wakes the thread that sends probes.
    nudge: Sender<Nudge>,
    /// A probe that has not come back for so long is given up: another one may try.
    patience: Duration,
}

struct Outage {
    began: Instant,
    reason: String,
    backoff: Duration,
    probe: Probe,
}

#[derive(Clone, Copy)]
enum Probe {
    /// It is to go at this time.
    Due(Instant),
    /// It went at this time.
    Sent(Instant),
}

impl Breaker {
    pub(super) fn new(nudge: Sender<Nudge>, patience: Duration) -> Self {
        Self {
            is_open: AtomicBool::new(false),
            outage: Mutex::default(),
            changed: Condvar::new(),
            notify: Notify::new(),
            nudge,
            patience,
        }
    }

    /// Fails during an outage.
    ///
    /// # Errors
    /// During an outage.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.lock() {
            Some(outage) => Err(outage.error()),
            None => Ok(()),
        }
    }

    /// Waits for what a probe finds that is under way, until the deadline.
    ///
    /// # Errors
    /// During an outage.
    pub(super) async fn ready(&self, deadline: Instant) -> Result<(), SessionError> {
        loop {
            if !self.is_open.load(Ordering::Acquire) {
                return Ok(());
            }
            // Made before the state is looked at, so that no change is missed.
            let changed = self.notify.notified();
            match &*self.lock() {
                None => return Ok(()),
                Some(outage) if !outage.is_probed(Instant::now()) => return Err(outage.error()),
                Some(_) => {}
            }
            if timeout_at(deadline.into(), changed).await.is_err() {
                return self.check();
            }
        }
    }

    /// Waits as [`ready`](Self::ready) does, on a thread that may block.
    ///
    /// # Errors
    /// During an outage.
    pub(super) fn enter(&self, deadline: Instant) -> Result<(), SessionError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match &*state {
                None => return Ok(()),
                Some(outage) if now >= deadline || !outage.is_probed(now) => {
                    return Err(outage.error());
                }
                Some(_) => {
                    let wait = self.changed.wait_timeout(state, deadline - now);
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Returns whether a probe is to be sent now; it counts as sent then.
    pub(super) fn sends_probe(&self, now: Instant) -> bool {
        if !self.is_open.load(Ordering::Acquire) {
            return false;
        }
        let mut state = self.lock();
        let Some(outage) = &mut *state else {
            return false;
        };
        let is_due = match outage.probe {
            Probe::Due(due) => now >= due,
            Probe::Sent(sent) => now.duration_since(sent) >= self.patience,
        };
        if is_due {
            outage.probe = Probe::Sent(now);
        }
        is_due
    }

    /// Lets operations through where no probe can be sent: the next one that fails opens it again.
    pub(super) fn give_way(&self) {
        self.lock().take();
        self.is_open.store(false, Ordering::Release);
        self.wake();
    }

    /// Learns from what came of a probe.
    pub(super) fn probed(&self, failure: Option<&StoreError>) {
        match failure {
            Some(error) if !is_answer(error) && !is_full(error) => self.still_failing(error),
            _ => self.recovered(),
        }
    }

    /// Learns from what came of another call. What says nothing of the database changes nothing.
    pub(super) fn learn(&self, failure: Option<&StoreError>) {
        match failure {
            None => self.recovered(),
            Some(error) if is_outage(error) => self.failed(error),
            Some(error) if is_answer(error) => self.recovered(),
            Some(_) => {}
        }
    }

    fn failed(&self, error: &StoreError) {
        let mut state = self.lock();
        if state.is_some() {
            return;
        }
        tracing::warn!("the database fails, requests are answered 503: {error}");
        let now = Instant::now();
        *state = Some(Outage {
            began: now,
            reason: error.to_string(),
            backoff: FIRST_BACKOFF,
            probe: Probe::Due(now),
        });
        self.is_open.store(true, Ordering::Release);
        drop(state);
        // Its receiver ends with the pipeline.
        let _ = self.nudge.send(Nudge::Probe);
    }

    fn still_failing(&self, error: &StoreError) {
        if let Some(outage) = &mut *self.lock() {
            outage.reason = error.to_string();
            outage.probe = Probe::Due(Instant::now() + outage.backoff);
            outage.backoff = (outage.backoff * 2).min(MAX_BACKOFF);
        }
        self.wake();
    }

    fn recovered(&self) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        if let Some(outage) = self.lock().take() {
            let lasted = outage.began.elapsed();
            tracing::info!("the database is back, after {lasted:.1?}");
        }
        self.is_open.store(false, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    /// Returns whether a probe is under way, or goes at once.
    fn is_probed(&self, now: Instant) -> bool {
        match self.probe {
            Probe::Due(due) => now >= due,
            Probe::Sent(_) => true,
        }
    }

    fn error(&self) -> SessionError {
        let reason = self.reason.clone();
        StoreError::Outage { reason }.into()
    }
}

/// Returns whether the database itself is at fault, and not one statement.
fn is_outage(error: &StoreError) -> bool {
    matches!(error, StoreError::Broken(_) | StoreError::Connect { .. })
}

/// Returns whether the server lives and has no place for another connection: those of the pool may be
/// good.
fn is_full(error: &StoreError) -> bool {
    const TEXTS: [&str; 2] = ["too many", "remaining connection slots"];
    matches!(error, StoreError::Connect { reason, .. }
        if TEXTS.iter().any(|text| reason.contains(text)))
}

/// Returns whether the database has answered, if only to refuse.
fn is_answer(error: &StoreError) -> bool {
    error.is_of_statement()
        || matches!(
            error,
            StoreError::Serialization(_) | StoreError::ReadOnly(_) | StoreError::Held
        )
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn breaker() -> (Breaker, Receiver<Nudge>) {
        let (nudge, nudged) = channel();
        (Breaker::new(nudge, PATIENCE), nudged)
    }

    fn outage() -> StoreError {
        StoreError::Connect {
            database: "postgres://db/app".to_owned(),
            reason: "connection refused".to_owned(),
            permanent: false,
        }
    }

    fn pool_in_use() -> StoreError {
        StoreError::Pool {
            waited: Duration::from_secs(2),
            reason: "all are in use".to_owned(),
        }
    }

    fn refused() -> StoreError {
        StoreError::Query(diesel::result::Error::NotFound)
    }

    #[test]
    fn i6_an_outage_is_probed_at_once_and_then_after_a_back_off() {
        let (breaker, nudged) = breaker();
        assert!(!breaker.sends_probe(Instant::now()));
        breaker.learn(Some(&outage()));
        assert!(nudged.try_recv().is_ok() && breaker.check().is_err());
        let now = Instant::now();
        assert!(breaker.sends_probe(now));
        assert!(!breaker.sends_probe(now), "one at a time");
        breaker.probed(Some(&outage()));
        assert!(!breaker.sends_probe(Instant::now()));
        assert!(breaker.sends_probe(Instant::now() + FIRST_BACKOFF));
        // One that does not come back is given up.
        assert!(breaker.sends_probe(Instant::now() + FIRST_BACKOFF + PATIENCE));
        breaker.probed(None);
        assert!(breaker.check().is_ok() && !breaker.sends_probe(Instant::now()));
    }

    #[test]
    fn i6_who_comes_during_a_probe_waits_for_what_it_finds() {
        let (breaker, _nudged) = breaker();
        breaker.learn(Some(&outage()));
        assert!(breaker.sends_probe(Instant::now()));
        let soon = || Instant::now() + Duration::from_secs(20);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| breaker.enter(soon()));
            breaker.probed(None);
            assert!(waits.join().unwrap().is_ok());
        });
        breaker.learn(Some(&outage()));
        assert!(breaker.sends_probe(Instant::now()));
        breaker.probed(Some(&outage()));
        assert!(breaker.enter(soon()).is_err(), "no probe is under way");
        assert!(breaker.sends_probe(Instant::now() + FIRST_BACKOFF));
        assert!(
            breaker.enter(Instant::now()).is_err(),
            "not past its deadline"
        );
    }

    #[test]
    fn i6_only_an_answer_of_the_database_ends_an_outage() {
        let (breaker, _nudged) = breaker();
        let says_nothing = [
            pool_in_use(),
            StoreError::TooLate,
            StoreError::Busy {
                waited: Duration::from_secs(2),
            },
            StoreError::Outage {
                reason: String::new(),
            },
        ];
        breaker.learn(Some(&outage()));
        for error in &says_nothing {
            breaker.learn(Some(error));
            assert!(breaker.check().is_err(), "{error}");
        }
        breaker.learn(Some(&refused()));
        assert!(breaker.check().is_ok());
    }

    #[test]
    fn a_statement_that_fails_and_a_pool_in_use_are_no_outage() {
        let (breaker, _nudged) = breaker();
        for error in [refused(), pool_in_use()] {
            breaker.learn(Some(&error));
            assert!(breaker.check().is_ok(), "{error}");
        }
    }
}
