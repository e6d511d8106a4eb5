//! Operations on a store for operators: listing, ending, sweeping and counting sessions. They
//! block. The command line calls them directly, and [`SessionAdmin`](crate::SessionAdmin) through
//! the pipeline.

mod batches;
mod census;
mod page;
mod presence;
mod sweep;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::ids::SessionHandle;
use super::record::SessionRecord;
use super::request::ListSessions;
use super::request::outcome::SweepOutcome;
use super::sessions::SessionStore;
use super::stats::{EndReason, HourStats, StatsStore, UsageDelta};

pub(crate) use self::batches::BREATH;
pub use self::census::SessionStats;
pub(crate) use self::census::{COUNTED_AT_ONCE, SessionCount};
pub use self::page::SessionPage;
pub use self::sweep::SweepReport;
pub(crate) use self::sweep::{Pass, PassOptions};

/// Lists and ends sessions of a store outside the server. Every method blocks.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
/// use rocket_diesel_sessions::admin::StoreAdmin;
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// let admin = StoreAdmin::new(&store).statistics(&store);
/// let report = admin.sweep(SystemClock.now(), |_| {})?;
/// println!("{} expired sessions deleted", report.deleted);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct StoreAdmin<'a> {
    store: &'a dyn SessionStore,
    stats: Option<&'a dyn StatsStore>,
}

impl<'a> StoreAdmin<'a> {
    /// Creates an administration of `store` without statistics.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let admin = StoreAdmin::new(store);
    ///     admin.clear(SystemClock.now(), |_| {})?;
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    pub fn new(store: &'a dyn SessionStore) -> Self {
        Self { store, stats: None }
    }

    /// Records sweeps and ended sessions in `stats`. A failure of `stats` is logged and has no
    /// other effect.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let admin = StoreAdmin::new(store).statistics(store);
    ///     admin.sweep(SystemClock.now(), |_| {})?;
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    #[must_use]
    pub fn statistics(mut self, stats: &'a dyn StatsStore) -> Self {
        self.stats = Some(stats);
        self
    }

    /// Returns one page of live sessions, at most `query.limit` of them.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let page = StoreAdmin::new(store).list(&ListSessions::new(SystemClock.now(), 100))?;
    ///     println!("{} sessions", page.sessions.len());
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub fn list(&self, query: &ListSessions) -> Result<SessionPage, StoreError> {
        SessionPage::read(query, |query| self.store.list(query))
    }

    /// Ends all sessions in batches and calls `ended` with the handles of each batch. This includes
    /// sessions created by instances whose clocks are minutes ahead.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let mut number = 0;
    ///     StoreAdmin::new(store).clear(SystemClock.now(), |ended| number += ended.len())?;
    ///     println!("{number} sessions ended");
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails. Sessions ended by then stay ended.
    pub fn clear(
        &self,
        now: DateTime<Utc>,
        mut ended: impl FnMut(&[SessionHandle]),
    ) -> Result<(), StoreError> {
        batches::clear(self.store, now, |batch| {
            self.note_ended(EndReason::Cleared, batch.len(), now);
            ended(batch);
        })
    }

    /// Ends the live sessions last used from an address, in batches, and calls `ended` with those of
    /// each batch. Their `data` may be empty.
    ///
    /// All sessions end that were created by `now` and used from the address since. Sessions that
    /// are created there in the meantime may end too.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore, ip: std::net::IpAddr) -> Result<usize, StoreError> {
    ///     let mut number = 0;
    ///     StoreAdmin::new(store).revoke_address(ip, SystemClock.now(), |ended| number += ended.len())?;
    ///     Ok(number)
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails. Sessions ended by then stay ended.
    pub fn revoke_address(
        &self,
        ip: IpAddr,
        now: DateTime<Utc>,
        mut ended: impl FnMut(&[SessionRecord]),
    ) -> Result<(), StoreError> {
        batches::end_address(self.store, ip, now, |batch| {
            self.note_ended(EndReason::Revoked, batch.len(), now);
            ended(batch);
        })
    }

    /// Deletes all sessions that have expired by `now`, in batches, and calls `progress` after each
    /// with the number of sessions deleted so far.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let report = StoreAdmin::new(store).sweep(SystemClock.now(), |deleted| println!("{deleted}"))?;
    ///     println!("{} in {:?}", report.deleted, report.elapsed);
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::ClockSkew`] and deletes nothing if `now` and the database's clock differ
    /// by more than five minutes. Fails if the store fails. Sessions deleted by then stay deleted.
    pub fn sweep(
        &self,
        now: DateTime<Utc>,
        mut progress: impl FnMut(usize),
    ) -> Result<SweepReport, StoreError> {
        let mut deleted = 0;
        let options = PassOptions {
            now,
            is_clock_real: true,
            handles: false,
        };
        let pass = self.pass(&options, |batch, _| {
            deleted += batch.deleted;
            progress(deleted);
            std::thread::sleep(BREATH);
            false
        });
        self.note_ended(EndReason::Expired, pass.report.deleted, now);
        log_failure(pass.recorded);
        pass.result.map(|()| pass.report)
    }

    /// Runs one pass and records it in the statistics. Passes each batch and its duration to
    /// `stop_after`, and ends early if that returns `true`. The caller counts the sessions of the
    /// batches.
    pub(crate) fn pass(
        &self,
        options: &PassOptions,
        stop_after: impl FnMut(&SweepOutcome, Duration) -> bool,
    ) -> Pass {
        let mut pass = sweep::run(self.store, options, stop_after);
        if let Some(stats) = self.stats {
            pass.recorded = stats.add_sweep(&pass.record(options.now));
        }
        pass
    }

    /// Records in the statistics that a command has ended sessions, for example those of a deleted
    /// user.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    /// use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
    /// use rocket_diesel_sessions::store::{ListSessions, StoreError};
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let admin = StoreAdmin::new(store).statistics(store);
    ///     admin.note_ended(EndReason::Revoked, 3, SystemClock.now());
    ///     Ok(())
    /// }
    /// # let _ = (EndReason::Logout, ListSessions::new(SystemClock.now(), 1));
    /// ```
    pub fn note_ended(&self, reason: EndReason, number: usize, now: DateTime<Utc>) {
        let Some(stats) = self.stats.filter(|_| number > 0) else {
            return;
        };
        let mut usage = UsageDelta::new(HourStats::hour_of(now));
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        usage.ended.add(reason, number);
        log_failure(stats.add_usage(&[usage]));
    }
}

impl fmt::Debug for StoreAdmin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreAdmin").finish_non_exhaustive()
    }
}

fn log_failure(recorded: Result<(), StoreError>) {
    if let Err(error) = recorded {
        tracing::warn!("the statistics do not have it: {error}");
    }
}
