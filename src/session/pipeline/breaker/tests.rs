//! Tests of the breaker, with the time given by the test.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::Cause;

const PATIENCE: Duration = Duration::from_secs(5);

fn breaker() -> (Breaker, Receiver<Nudge>) {
    let (nudge, nudged) = channel();
    (Breaker::new(nudge, PATIENCE, Arc::default()), nudged)
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
    StoreError::Query(Cause::new("a statement"))
}

#[test]
fn i6_an_outage_is_probed_at_once_and_then_after_a_back_off() {
    let (breaker, nudged) = breaker();
    assert!(!breaker.sends_probe(Instant::now()));
    breaker.learn(Some(&outage()), Instant::now());
    assert!(nudged.try_recv().is_ok() && breaker.check().is_err());
    let now = Instant::now();
    assert!(breaker.sends_probe(now));
    assert!(!breaker.sends_probe(now), "one at a time");
    breaker.probed(Some(&outage()));
    assert!(!breaker.sends_probe(Instant::now()));
    assert!(breaker.sends_probe(Instant::now() + FIRST_BACKOFF));
    // A probe that does not return is abandoned.
    assert!(breaker.sends_probe(Instant::now() + FIRST_BACKOFF + PATIENCE));
    breaker.probed(None);
    assert!(breaker.check().is_ok() && !breaker.sends_probe(Instant::now()));
}

#[test]
fn i6_an_operation_during_a_probe_waits_for_its_result() {
    let (breaker, _nudged) = breaker();
    breaker.learn(Some(&outage()), Instant::now());
    assert!(breaker.sends_probe(Instant::now()));
    let soon = || Instant::now() + Duration::from_secs(20);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| breaker.enter(soon()));
        breaker.probed(None);
        assert!(waits.join().unwrap().is_ok());
    });
    breaker.learn(Some(&outage()), Instant::now());
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
    breaker.learn(Some(&outage()), Instant::now());
    for error in &says_nothing {
        breaker.learn(Some(error), Instant::now());
        assert!(breaker.check().is_err(), "{error}");
    }
    breaker.learn(Some(&refused()), Instant::now());
    assert!(breaker.check().is_ok());
}

#[test]
fn an_outage_is_logged_once_a_minute_with_its_refusals() {
    let (breaker, _nudged) = breaker();
    breaker.refused();
    breaker.learn(Some(&outage()), Instant::now());
    let began = breaker.lock().outage.as_ref().unwrap().began;
    let said_after = |seconds| {
        let now = began + Duration::from_secs(seconds);
        breaker.lock().outage.as_mut().unwrap().reminder(now)
    };
    assert_eq!(said_after(59), None);
    breaker.refused();
    breaker.refused();
    let said = said_after(60).unwrap();
    for part in ["for 60s", "2 requests were refused", "connection refused"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said_after(119), None);
    assert!(said_after(120).is_some());
}

#[test]
fn i6_an_outage_continues_while_it_lets_operations_through() {
    let (breaker, _nudged) = breaker();
    breaker.learn(Some(&outage()), Instant::now());
    breaker.refused();
    breaker.give_way();
    assert!(breaker.check().is_ok() && !breaker.sends_probe(Instant::now()));
    breaker.learn(Some(&outage()), Instant::now());
    breaker.refused();
    assert!(breaker.check().is_err() && breaker.sends_probe(Instant::now()));
    assert_eq!(breaker.lock().outage.as_ref().unwrap().refused, 2);
    breaker.give_way();
    breaker.learn(None, Instant::now());
    assert!(breaker.lock().outage.is_none() && !breaker.is_known.load(Ordering::Acquire));
}

#[test]
fn a_failed_statement_or_a_pool_in_use_is_not_an_outage() {
    let (breaker, _nudged) = breaker();
    for error in [refused(), pool_in_use()] {
        breaker.learn(Some(&error), Instant::now());
        assert!(breaker.check().is_ok(), "{error}");
    }
}

#[test]
fn i6_an_unexplained_error_is_an_outage_until_a_probe_succeeds() {
    let (breaker, nudged) = breaker();
    let unexplained = StoreError::other("connection reset");
    breaker.learn(Some(&unexplained), Instant::now());
    assert!(nudged.try_recv().is_ok() && breaker.check().is_err());
    assert!(breaker.sends_probe(Instant::now()));
    breaker.probed(Some(&unexplained));
    assert!(breaker.check().is_err());
    breaker.probed(None);
    assert!(breaker.check().is_ok());
}

#[test]
fn i6_a_call_that_began_before_the_recovery_starts_no_outage() {
    let (breaker, _nudged) = breaker();
    let before = Instant::now();
    breaker.learn(Some(&outage()), before);
    breaker.probed(None);
    breaker.learn(Some(&outage()), before);
    assert!(breaker.check().is_ok());
    breaker.learn(Some(&outage()), Instant::now());
    assert!(breaker.check().is_err());
}
