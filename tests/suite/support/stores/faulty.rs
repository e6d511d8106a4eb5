//! A store that fails as it is told to: before, after or instead of doing what it is asked.

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

/// What a call of the store meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It fails before anything is done.
    Fail(Failure),
    /// It is done, and then reported to have failed in a way that leaves that open.
    DoneThenFail(Failure),
    /// It is done, and then the store panics.
    DoneThenPanic,
    /// It is done, and the result comes after the deadline.
    DoneThenLate,
    /// It begins after the deadline.
    Late,
    /// It begins when the test lets it.
    Hang,
    /// It is done, and its result comes when the test lets it.
    DoneThenHang,
    /// The store panics before anything is done.
    Panic,
    /// The clock steps forward by so many seconds, and then it is done.
    Step(u16),
}

/// How a call fails that does nothing.
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

/// Does to each call of the store under it what the test has planned for it, in the order of the
/// plan; calls past its end are left alone.
pub(crate) type FaultyStore = Wrapped<Faults>;

pub(crate) struct Faults {
    inner: Arc<dyn SessionStore>,
    clock: Arc<ManualClock>,
    /// Longer than the pipeline waits.
    late: Duration,
    plan: Mutex<VecDeque<Fault>>,
    running: AtomicUsize,
    calls: AtomicUsize,
    /// How often hanging calls were let go.
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
            let_go: Default::default(),
        }))
    }
}

impl Faults {
    fn plan(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans what the next calls meet.
    pub(crate) fn expect(&self, faults: &[Fault]) {
        *self.plan() = faults.iter().copied().collect();
    }

    /// Lets hanging calls go, plans nothing more, and waits until no call is running.
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

    /// Returns how many calls have been made.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn hang(&self) {
        let (let_go, changed) = &self.let_go;
        let count = let_go.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *count;
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

    /// The clock of the test: the database's is not moved with it.
    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(Some(self.clock.now()))
    }
}

/// A call that is under way.
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
