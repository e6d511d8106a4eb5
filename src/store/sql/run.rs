//! Runs the store's jobs on pooled connections, and decides which jobs run again and on which
//! connection.

pub(in crate::store) mod contention;

use std::time::{Duration, Instant};

use diesel::connection::CacheSize;

use self::contention::HeldRows;
use super::connect::connection::AnyConnection;
use super::connect::connections::{Connections, Lease};
use super::connect::prelude::{Prelude, run_with};
#[cfg(feature = "postgres")]
use super::engine::Engine;
use super::error::{SqlError, is_stale_statement, is_termination, is_unclassified};
#[cfg(feature = "postgres")]
use super::statements::postgres;
use crate::store::{DatabaseUrl, DieselStore, StoreError};

/// The longest pause, in milliseconds, before a job is repeated that lost to another transaction.
const LONGEST_PAUSE: u64 = 20;

impl DieselStore {
    /// Runs a job that only reads. It is repeated on another connection if its own broke.
    pub(in crate::store) fn read<T>(
        &self,
        mut job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.read_with(Job::Read, &mut job)
    }

    /// Runs a job that reads rows by their ids. It waits for no row lock and is short. On a
    /// connection of the application, limits would cost it two round trips.
    pub(in crate::store) fn look_up<T>(
        &self,
        mut job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.read_with(Job::LookUp, &mut job)
    }

    fn read_with<T>(
        &self,
        kind: Job,
        job: &mut impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let mut repeats = match &self.connections {
            Connections::Own(_) => 1,
            // Several idle connections that the server has closed may be met one after the other.
            Connections::Application(_) => self.connections.state().size,
        };
        loop {
            match self.run(OnLock::Tell, kind, job) {
                Err(StoreError::Broken(_))
                    if repeats > 0 && start.elapsed() < self.options.timeout =>
                {
                    repeats -= 1;
                }
                result => return result,
            }
        }
    }

    /// Runs a job that writes. It is not repeated after a broken connection, because it is unknown
    /// whether it was committed. A job that did nothing because of another transaction is repeated
    /// until the timeout.
    pub(in crate::store) fn change<T>(
        &self,
        job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Again, job)
    }

    /// Runs a batch that writes. A locked row is reported to the caller instead of waited for
    /// again, so that the other rows of the batch do not wait. The caller can then run them one by
    /// one.
    pub(in crate::store) fn change_batch<T>(
        &self,
        job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Tell, job)
    }

    /// Runs a batch that must not wait long for a locked row. The usual statements run first,
    /// unless they met a locked row recently. If they meet one, the statements run that skip locked
    /// rows. `has_held` returns whether any row was skipped.
    pub(in crate::store) fn change_around_held<T>(
        &self,
        has_held: impl Fn(&T) -> bool,
        mut job: impl FnMut(&mut AnyConnection<'_>, HeldRows<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        if !self.engine.get().has_row_locks() {
            return self.change_batch(|connection| job(connection, HeldRows::Wait));
        }
        if !self.contention.is_recent() {
            let mut ran = Duration::ZERO;
            let changed = self.change_batch(|connection| {
                let start = Instant::now();
                let result = job(connection, HeldRows::Wait);
                ran = start.elapsed();
                result
            });
            match changed {
                Err(error) if self.may_have_met_held_row(&error, ran) => self.contention.record(),
                changed => return changed,
            }
        }
        let skip = HeldRows::Skip(&self.contention);
        let changed = self.change_batch(|connection| job(connection, skip))?;
        if has_held(&changed) {
            self.contention.record();
        }
        Ok(changed)
    }

    /// Returns whether a batch that failed after `ran` may have waited for a locked row. If the
    /// server's messages are in another language, only the time indicates it.
    fn may_have_met_held_row(&self, error: &StoreError, ran: Duration) -> bool {
        match error {
            StoreError::Locked(_) => true,
            error => is_unclassified(error) && ran >= self.options.timeout / 4,
        }
    }

    fn write_with<T>(
        &self,
        on_lock: OnLock,
        mut job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let waited = self.options.timeout;
        let _writer = match self.url {
            DatabaseUrl::Sqlite(_) => {
                let writer = self.writer.try_lock_for(waited);
                Some(writer.ok_or(StoreError::Busy { waited })?)
            }
            DatabaseUrl::Postgres(_) => None,
        };
        self.run(on_lock, Job::Write, &mut job)
    }

    fn run<T>(
        &self,
        on_lock: OnLock,
        kind: Job,
        job: &mut impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let deadline = start + self.options.timeout;
        let mut connection = self.usable_connection(deadline)?;
        let mut pause = 0;
        loop {
            let prelude = self.prelude_of(kind);
            let (error, next) = match run_with(connection.lend(), prelude, &mut *job) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => {
                    let error = StoreError::from(error);
                    let next = self.next_step(&error, &mut connection, start);
                    (error, next)
                }
                Err(error) => {
                    self.connections.mark_broken(&mut connection);
                    let error = StoreError::from(error);
                    let next = if matches!(error, StoreError::Broken(_)) {
                        Next::Elsewhere
                    } else {
                        Next::Fail
                    };
                    (error, next)
                }
            };
            let is_late = Instant::now() >= deadline;
            match next {
                // The other one may be long.
                _ if is_worth_another(&error, on_lock) && !is_late => {
                    pause = LONGEST_PAUSE.min(pause + 1);
                    std::thread::sleep(Duration::from_millis(pause));
                }
                Next::Elsewhere if !is_late => {
                    // Returned first, because it may be the pool's last connection.
                    drop(connection);
                    connection = self.usable_connection(deadline)?;
                }
                Next::Again if !is_late => {}
                Next::Unprepared => {
                    let repeated = self.run_unprepared(&mut connection, prelude, job, error);
                    return repeated.map_err(|error| self.engine.get().explain(error));
                }
                _ if matches!(error, StoreError::Busy { .. }) => {
                    let waited = start.elapsed();
                    return Err(StoreError::Busy { waited });
                }
                _ => return Err(self.engine.get().explain(error)),
            }
        }
    }

    /// Returns the beginning of a job's transaction, if it has one of its own.
    fn prelude_of(&self, kind: Job) -> Option<&Prelude> {
        let prelude = self.prelude.as_ref();
        match kind {
            Job::LookUp => prelude.and_then(Prelude::without_limits),
            #[cfg(feature = "postgres")]
            Job::Write if self.engine.get() == Engine::Citus => Some(&self.distributed),
            Job::Read | Job::Write => prelude,
        }
    }

    /// Decides whether and where a failed job may run again, and whether its connection may be used
    /// again.
    fn next_step(&self, error: &StoreError, connection: &mut Lease<'_>, start: Instant) -> Next {
        let is_older = connection.is_older_than(start);
        let elsewhere_if = |may: bool| if may { Next::Elsewhere } else { Next::Fail };
        match error {
            StoreError::Broken(_) => {
                self.connections.mark_broken(connection);
                elsewhere_if(is_older && is_termination(error))
            }
            // A primary may have become a standby, or vice versa, so connect to another server.
            // Reads continue where they are.
            StoreError::ReadOnly(_) => {
                connection.discard();
                elsewhere_if(is_older)
            }
            // The job did nothing, even if it writes. All older connections have stale statements
            // too.
            error if is_stale_statement(error) => {
                self.connections.mark_broken(connection);
                elsewhere_if(is_older)
            }
            error if is_unclassified(error) && start.elapsed() < self.options.timeout / 4 => {
                self.look_into(connection, is_older)
            }
            _ => Next::Fail,
        }
    }

    /// Looks for the cause of an unknown error in the database's change: the table may have been
    /// distributed, which other statements can cope with, or the statement may be stale, which is
    /// not recognized if the server's messages are in another language. This costs queries or the
    /// connection, so it is done once per second.
    fn look_into(&self, connection: &mut Lease<'_>, is_older: bool) -> Next {
        if matches!(self.url, DatabaseUrl::Sqlite(_)) || !self.is_look_due() {
            return Next::Fail;
        }
        if let Ok(true) = self
            .engine
            .look_again(&mut connection.lend(), &self.options)
        {
            return Next::Again;
        }
        if is_older && self.options.prepared_statements {
            return Next::Unprepared;
        }
        Next::Fail
    }

    fn is_look_due(&self) -> bool {
        let mut looked = self.looked_into_failure.lock();
        let is_due = looked.is_none_or(|looked| looked.elapsed() >= Duration::from_secs(1));
        if is_due {
            *looked = Some(Instant::now());
        }
        is_due
    }

    /// Repeats a job, which failed with `error`, without prepared statements and then discards the
    /// connection. If that succeeds, the statements of all older connections are stale.
    fn run_unprepared<T>(
        &self,
        connection: &mut Lease<'_>,
        prelude: Option<&Prelude>,
        job: &mut impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
        error: StoreError,
    ) -> Result<T, StoreError> {
        let mut lent = connection.lend();
        lent.set_prepared_statement_cache_size(CacheSize::Disabled);
        let repeated = match run_with(lent, prelude, job) {
            // It may have committed even if it failed, so its own error counts.
            Ok(repeated) => repeated.map_err(StoreError::from),
            Err(_) => Err(error),
        };
        match repeated {
            Ok(_) => self.connections.mark_broken(connection),
            Err(_) => connection.discard(),
        }
        repeated
    }

    /// Waits for a connection that the server has not closed while it was idle. A statement sent on
    /// a closed connection fails, and must not be repeated if it writes.
    fn usable_connection(&self, deadline: Instant) -> Result<Lease<'_>, StoreError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut connection = self.connections.checkout(left)?;
            if is_closed(&mut connection) {
                connection.discard();
            } else {
                return Ok(connection);
            }
        }
    }
}

/// Returns whether the database has visibly closed a connection. The application's pool checks its
/// connections itself, and a check here could consume a notification for the application.
fn is_closed(lease: &mut Lease<'_>) -> bool {
    if matches!(lease, Lease::Application(_)) {
        return false;
    }
    match lease.lend() {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => false,
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres::is_closed(connection),
    }
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    /// Reads rows by their ids.
    LookUp,
    Read,
    Write,
}

/// The reaction to a failed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It did nothing and may run on another connection.
    Elsewhere,
    /// It may run again at once, on the same connection.
    Again,
    /// It may run again without prepared statements.
    Unprepared,
    /// Its caller gets the error.
    Fail,
}

/// The reaction to a lock that could not be obtained in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnLock {
    /// Run the job again.
    Again,
    /// Report the error.
    Tell,
}

/// Returns whether a job that did nothing because of another transaction is worth repeating.
fn is_worth_another(error: &StoreError, on_lock: OnLock) -> bool {
    match error {
        StoreError::Serialization(_) | StoreError::Busy { .. } => true,
        StoreError::Locked(_) => on_lock == OnLock::Again,
        _ => false,
    }
}
