//! Runs the store's jobs on pooled connections, and decides which jobs run again and on which
//! connection.

pub(in crate::store) mod contention;

use std::time::{Duration, Instant};

use diesel::connection::CacheSize;

use self::contention::HeldRows;
use super::connect::connection::AnyConnection;
use super::connect::pool::Lease;
use super::error::{SqlError, is_stale_statement, is_termination, is_unclassified};
#[cfg(feature = "postgres")]
use super::postgres;
use crate::store::{DatabaseUrl, DieselStore, StoreError};

/// Maximum number of times that a job is repeated after it lost to another transaction.
const RETRIES: u32 = 10;

impl DieselStore {
    /// Runs a job that only reads. It is repeated once on another connection if its own broke.
    pub(in crate::store) fn read<T>(
        &self,
        mut job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        match self.run(OnLock::Tell, &mut job) {
            Err(StoreError::Broken(_)) => self.run(OnLock::Tell, &mut job),
            result => result,
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
        mut job: impl FnMut(&mut AnyConnection<'_>, HeldRows) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
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
        let changed = self.change_batch(|connection| job(connection, HeldRows::Skip))?;
        if has_held(&changed) {
            self.contention.record();
        }
        Ok(changed)
    }

    /// Returns whether a batch that failed after `ran` may have waited for a locked row. If the
    /// server's messages are in another language, only the time indicates it.
    fn may_have_met_held_row(&self, error: &StoreError, ran: Duration) -> bool {
        match (&self.url, error) {
            (DatabaseUrl::Sqlite(_), _) => false,
            (_, StoreError::Locked(_)) => true,
            (_, error) => is_unclassified(error) && ran >= self.options.timeout / 4,
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
        self.run(on_lock, &mut job)
    }

    fn run<T>(
        &self,
        on_lock: OnLock,
        job: &mut impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let deadline = start + self.options.timeout;
        let mut connection = self.usable_connection(self.options.timeout)?;
        let mut tries = 0;
        loop {
            match job(&mut connection.lend()).map_err(StoreError::from) {
                Err(error)
                    if is_worth_another(&error, on_lock)
                        && tries < RETRIES
                        && Instant::now() < deadline =>
                {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(u64::from(tries)));
                }
                Err(StoreError::Busy { .. }) => {
                    let waited = start.elapsed();
                    return Err(StoreError::Busy { waited });
                }
                Err(error @ StoreError::Broken(_)) => {
                    self.connections.mark_broken(&mut connection);
                    let left = deadline.saturating_duration_since(Instant::now());
                    let may_go_on = is_termination(&error) && connection.is_older_than(start);
                    if !may_go_on || left.is_zero() {
                        return Err(error);
                    }
                    drop(connection);
                    connection = self.usable_connection(left)?;
                }
                // A primary may have become a standby, or vice versa, so connect to another server.
                // Reads continue where they are.
                Err(error @ StoreError::ReadOnly(_)) => {
                    connection.discard();
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !connection.is_older_than(start) || left.is_zero() {
                        return Err(error);
                    }
                    // Returned first, because it may be the pool's last connection.
                    drop(connection);
                    connection = self.usable_connection(left)?;
                }
                // The job did nothing, even if it writes. All older connections have stale
                // statements too.
                Err(error) if is_stale_statement(&error) => {
                    self.connections.mark_broken(&mut connection);
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !connection.is_older_than(start) || left.is_zero() {
                        return Err(error);
                    }
                    drop(connection);
                    connection = self.usable_connection(left)?;
                }
                Err(error)
                    if is_unclassified(&error)
                        && connection.is_older_than(start)
                        && start.elapsed() < self.options.timeout / 4
                        && self.may_be_stale() =>
                {
                    return self.run_unprepared(&mut connection, job, error);
                }
                result => return result,
            }
        }
    }

    /// Returns whether an unknown error should be checked for a stale statement, which is not
    /// recognized if the server's messages are in another language. The check costs a connection,
    /// so it is made once per second.
    fn may_be_stale(&self) -> bool {
        if matches!(self.url, DatabaseUrl::Sqlite(_)) || !self.options.prepared_statements {
            return false;
        }
        let mut looked = self.looked_for_stale.lock();
        let is_due = looked.is_none_or(|looked| looked.elapsed() >= Duration::from_secs(1));
        if is_due {
            *looked = Some(Instant::now());
        }
        is_due
    }

    /// Repeats a job without prepared statements and then discards the connection. If that
    /// succeeds, the statements of all older connections are stale.
    fn run_unprepared<T>(
        &self,
        connection: &mut Lease<'_>,
        job: &mut impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
        error: StoreError,
    ) -> Result<T, StoreError> {
        let mut lent = connection.lend();
        lent.set_prepared_statement_cache_size(CacheSize::Disabled);
        if let Ok(done) = job(&mut lent) {
            self.connections.mark_broken(connection);
            return Ok(done);
        }
        connection.discard();
        Err(error)
    }

    /// Waits for a connection that the server has not closed while it was idle. A statement sent on
    /// a closed connection fails, and must not be repeated if it writes.
    fn usable_connection(&self, timeout: Duration) -> Result<Lease<'_>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut connection = self.connections.checkout(left)?;
            if is_closed(&mut connection.lend()) {
                connection.discard();
            } else {
                return Ok(connection);
            }
        }
    }
}

/// Returns whether the database has visibly closed a connection.
fn is_closed(connection: &mut AnyConnection<'_>) -> bool {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => false,
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres::is_closed(connection),
    }
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
