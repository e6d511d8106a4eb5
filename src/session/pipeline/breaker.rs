//! Keeps requests from waiting for a database that does not answer.
//!
//! After a failure of the database itself, operations fail at once with that failure, until one
//! that is let through as a probe finds the database back. Probes come after a back-off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::session::SessionError;
use crate::store::StoreError;

const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// A probe that has not come back for so long is given up: another one may try.
const LONGEST_PROBE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Breaker {
    /// Whether there is an outage: read by each request.
    is_open: AtomicBool,
    outage: Mutex<Option<Outage>>,
}

struct Outage {
    began: Instant,
    reason: String,
    backoff: Duration,
    /// When the next probe may go.
    next_probe: Instant,
}

/// Leave to call the store. Dropping a probe that learned nothing lets another one go.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// Of a probe: until when no other one goes.
    probes_until: Option<Instant>,
}

impl Breaker {
    /// Whether an operation may wait in the queue.
    ///
    /// # Errors
    /// During an outage, while no probe is due.
    pub(super) fn check(&self, now: Instant) -> Result<(), SessionError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.lock() {
            Some(outage) if now < outage.next_probe => Err(outage.error()),
            _ => Ok(()),
        }
    }

    /// Leave to call the store; during an outage, for one at a time.
    ///
    /// # Errors
    /// During an outage, while no probe is due.
    pub(super) fn enter(&self, now: Instant) -> Result<Pass<'_>, SessionError> {
        let mut pass = Pass {
            breaker: self,
            probes_until: None,
        };
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(pass);
        }
        if let Some(outage) = &mut *self.lock() {
            if now < outage.next_probe {
                return Err(outage.error());
            }
            outage.next_probe = now + LONGEST_PROBE;
            pass.probes_until = Some(outage.next_probe);
        }
        Ok(pass)
    }

    /// Learns from what came of a call.
    pub(super) fn learn(&self, failure: Option<&StoreError>) {
        match failure {
            Some(error) if is_outage(error) => self.failed(error),
            // The database answered.
            _ => self.recovered(),
        }
    }

    fn failed(&self, error: &StoreError) {
        let now = Instant::now();
        let mut state = self.lock();
        let (began, backoff) = if let Some(outage) = &*state {
            (outage.began, (outage.backoff * 2).min(MAX_BACKOFF))
        } else {
            tracing::warn!("the database fails, requests are answered 503: {error}");
            (now, FIRST_BACKOFF)
        };
        *state = Some(Outage {
            began,
            reason: error.to_string(),
            backoff,
            next_probe: now + backoff,
        });
        self.is_open.store(true, Ordering::Release);
    }

    fn recovered(&self) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        if let Some(outage) = state.take() {
            let lasted = outage.began.elapsed();
            tracing::info!("the database is back, after {lasted:.1?}");
        }
        self.is_open.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(until) = self.probes_until
            && let Some(outage) = &mut *self.breaker.lock()
            && outage.next_probe == until
        {
            outage.next_probe = Instant::now();
        }
    }
}

impl Outage {
    fn error(&self) -> SessionError {
        let reason = self.reason.clone();
        StoreError::Outage { reason }.into()
    }
}

/// Whether the database itself is at fault, and not one statement.
fn is_outage(error: &StoreError) -> bool {
    matches!(error, StoreError::Broken(_) | StoreError::Connect { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> StoreError {
        StoreError::Connect {
            database: "postgres://db/app".to_owned(),
            reason: "connection refused".to_owned(),
            permanent: false,
        }
    }

    #[test]
    fn i6_during_an_outage_one_probe_is_let_through_at_a_time() {
        let breaker = Breaker::default();
        let start = Instant::now();
        assert!(breaker.enter(start).is_ok());
        breaker.learn(Some(&outage()));
        assert!(breaker.check(start).is_err() && breaker.enter(start).is_err());
        let due = Instant::now() + FIRST_BACKOFF;
        assert!(breaker.check(due).is_ok());
        let probe = breaker.enter(due).ok().unwrap();
        assert!(breaker.enter(due).is_err(), "one at a time");
        assert!(breaker.check(due).is_err());
        // It fails: the next one waits longer.
        breaker.learn(Some(&outage()));
        drop(probe);
        let later = Instant::now();
        assert!(breaker.enter(later + FIRST_BACKOFF).is_err());
        // One that found nothing to do makes room for another.
        drop(breaker.enter(later + FIRST_BACKOFF * 2).ok().unwrap());
        let probe = breaker.enter(later + FIRST_BACKOFF * 2).ok().unwrap();
        breaker.learn(None);
        drop(probe);
        assert!(breaker.enter(start).is_ok() && breaker.check(start).is_ok());
    }

    #[test]
    fn a_statement_that_fails_and_a_pool_in_use_are_no_outage() {
        let breaker = Breaker::default();
        let busy = StoreError::Pool {
            waited: Duration::from_secs(2),
            reason: "all are in use".to_owned(),
        };
        for error in [StoreError::Query(diesel::result::Error::NotFound), busy] {
            breaker.learn(Some(&error));
            assert!(breaker.check(Instant::now()).is_ok(), "{error}");
        }
    }
}
