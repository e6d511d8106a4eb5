//! A store that fails as planned: before, after or instead of doing what it is asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::store::{SessionStore, StoreError};
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{Cause, Clock};

use super::around::{Around, Call, Wrapped};
use crate::support::wait_until;

/// The fault of a call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No fault.
    None,
    /// The call fails before anything is done.
    Fail(Failure),
    /// The call is done and then reported to have failed in a way that leaves this open.
    DoneThenFail(Failure),
    /// The call is done, and then the store panics.
    DoneThenPanic,
    /// The call is done, and the result comes after the deadline.
    DoneThenLate,
    /// The call begins after the deadline.
    Late,
    /// The call begins when the test releases it.
    Hang,
    /// The call is done, and its result comes when the test releases it.
    DoneThenHang,
    /// The store panics before anything is done.
    Panic,
    /// The clock advances by this many seconds, and then the call is done.
    Step(u16),
}

/// The error of a call that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Broken,
    Serialization,
    Locked,
    ReadOnly,
    Constraint,
    Refused,
    Query,
    Server,
    Full,
    Other,
    Connect,
    Pool,
    Busy,
    TooLate,
    Outage,
    Corrupt,
    ClockSkew,
}

impl Failure {
    pub(crate) const ALL: [Self; 17] = [
        Self::Broken,
        Self::Serialization,
        Self::Locked,
        Self::ReadOnly,
        Self::Constraint,
        Self::Refused,
        Self::Query,
        Self::Server,
        Self::Full,
        Self::Other,
        Self::Connect,
        Self::Pool,
        Self::Busy,
        Self::TooLate,
        Self::Outage,
        Self::Corrupt,
        Self::ClockSkew,
    ];

    fn error(self) -> StoreError {
        let text = || "injected".to_owned();
        let cause = || Cause::new(text());
        let waited = Duration::from_millis(1);
        match self {
            Self::Broken => StoreError::Broken(cause()),
            Self::Serialization => StoreError::Serialization(cause()),
            Self::Locked => StoreError::Locked(cause()),
            Self::ReadOnly => StoreError::ReadOnly(cause()),
            Self::Constraint => StoreError::Constraint(cause()),
            Self::Refused => StoreError::Refused(cause()),
            Self::Query => StoreError::Query(cause()),
            Self::Server => StoreError::Server(cause()),
            Self::Full => StoreError::Full(cause()),
            Self::Other => StoreError::Other(cause()),
            Self::Connect => StoreError::connect(text(), text()),
            Self::Pool => StoreError::pool(waited, text()),
            Self::Busy => StoreError::Busy { waited },
            Self::TooLate => StoreError::TooLate,
            Self::Outage => StoreError::Outage { reason: text() },
            Self::Corrupt => StoreError::corrupt(text(), text()),
            Self::ClockSkew => StoreError::ClockSkew {
                ours: DateTime::UNIX_EPOCH,
                theirs: DateTime::UNIX_EPOCH,
            },
        }
    }
}

/// A store with planned faults. They apply to its calls in order, and further calls have none.
pub(crate) type FaultyStore = Wrapped<Faults>;

pub(crate) struct Faults {
    inner: Arc<dyn SessionStore>,
    clock: Arc<ManualClock>,
    /// The delay of late calls, longer than the pipeline waits.
    late: Duration,
    plan: Mutex<VecDeque<Fault>>,
    running: AtomicUsize,
    calls: AtomicUsize,
    hanging: AtomicUsize,
    /// Number of times that hanging calls were released.
    let_go: (Mutex<usize>, Condvar),
}

impl FaultyStore {
    pub(crate) fn new(
        inner: Arc<dyn SessionStore>,
        clock: Arc<ManualClock>,
        late: Duration,
    ) -> Arc<Self> {
        Arc::new(Wrapped(Faults {
            inner,
            clock,
            late,
            plan: Mutex::default(),
            running: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
            let_go: Default::default(),
        }))
    }
}

impl Faults {
    fn plan(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans the faults of the next calls.
    pub(crate) fn expect(&self, faults: &[Fault]) {
        *self.plan() = faults.iter().copied().collect();
    }

    /// Releases hanging calls, clears the plan, and waits until no call is running.
    pub(crate) fn calm(&self) {
        self.plan().clear();
        wait_until("no call of the store is running", || {
            let (let_go, changed) = &self.let_go;
            *let_go.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            changed.notify_all();
            self.is_idle()
        });
    }

    /// Returns whether no call is running.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    /// Returns the number of calls made.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns whether a call hangs.
    pub(crate) fn has_hanging(&self) -> bool {
        self.hanging.load(Ordering::SeqCst) > 0
    }

    fn hang(&self) {
        let (let_go, changed) = &self.let_go;
        let count = let_go.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *count;
        let _hanging = Running::begin(&self.hanging);
        drop(changed.wait_while(count, |count| *count == before));
    }
}

impl Around for Faults {
    fn inner(&self) -> &dyn SessionStore {
        &*self.inner
    }

    fn around<T>(
        &self,
        _: Call<'_>,
        run: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let fault = self.plan().pop_front().unwrap_or(Fault::None);
        let _running = Running::begin(&self.running);
        self.calls.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::None
            | Fault::DoneThenFail(_)
            | Fault::DoneThenPanic
            | Fault::DoneThenLate
            | Fault::DoneThenHang => {}
            Fault::Fail(failure) => return Err(failure.error()),
            Fault::Late => std::thread::sleep(self.late),
            Fault::Hang => self.hang(),
            Fault::Panic => panic!("injected: before anything was done"),
            Fault::Step(seconds) => self.clock.advance(TimeDelta::seconds(seconds.into())),
        }
        let result = run(&*self.inner);
        match fault {
            Fault::DoneThenFail(failure) => {
                result?;
                return Err(failure.error());
            }
            Fault::DoneThenPanic => panic!("injected: after it was done"),
            Fault::DoneThenLate => std::thread::sleep(self.late),
            Fault::DoneThenHang => self.hang(),
            _ => {}
        }
        result
    }

    /// Returns the test's clock, because the database's clock does not move with it.
    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(Some(self.clock.now()))
    }
}

/// A running call.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn begin(running: &'a AtomicUsize) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
