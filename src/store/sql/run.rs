//! How the store runs a job on a pooled connection: what is run again, and on which connection.

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

/// How often a job is run again that lost to another transaction.
const RETRIES: u32 = 10;

impl DieselStore {
    /// Runs what only reads: it may be run again on another connection when its own broke.
    pub(in crate::store) fn read<T>(
        &self,
        mut job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        match self.run(OnLock::Tell, &mut job) {
            Err(StoreError::Broken(_)) => self.run(OnLock::Tell, &mut job),
            result => result,
        }
    }

    /// Runs what writes: once, since after a broken connection it is not known what was committed.
    /// What did nothing because of another transaction is run again, until the timeout.
    pub(in crate::store) fn change<T>(
        &self,
        job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Again, job)
    }

    /// The same for a batch: one row that is held is not to keep the others waiting. Its caller
    /// is told, and can run them one by one.
    pub(in crate::store) fn change_batch<T>(
        &self,
        job: impl FnMut(&mut AnyConnection<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Tell, job)
    }

    /// Runs a batch that must not wait long for a held row: if the usual statements meet one, or have
    /// met one lately, those run that leave held rows out. `has_held` returns whether they did.
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

    /// Returns whether a batch that failed after `ran` has waited for a row. Where the server's
    /// messages are in another language, only the time shows it.
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
                // A primary may have become a standby, or the other way round: ask for another
                // server. Reads go on where they are.
                Err(error @ StoreError::ReadOnly(_)) => {
                    connection.discard();
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !connection.is_older_than(start) || left.is_zero() {
                        return Err(error);
                    }
                    // Given back first: it may be the pool's last one.
                    drop(connection);
                    connection = self.usable_connection(left)?;
                }
                // Nothing was run, whatever it was. All older connections have such statements.
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

    /// Returns whether an unknown error may come from a stale statement, on a server whose messages
    /// are in another language. Finding out costs a connection, so it is done once per second.
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

    /// Runs a job again without prepared statements, after which the connection is not used again. If
    /// it succeeds, the statements of all older connections are stale.
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

    /// Waits for a connection that the server has not closed while it was idle: what is sent on
    /// a closed one fails, and may not be sent again if it writes.
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

/// Returns whether the database is known to have closed a connection.
fn is_closed(connection: &mut AnyConnection<'_>) -> bool {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => false,
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres::is_closed(connection),
    }
}

/// What to do about a lock that was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnLock {
    Again,
    Tell,
}

/// Returns whether a job did nothing because of another transaction.
fn is_worth_another(error: &StoreError, on_lock: OnLock) -> bool {
    match error {
        StoreError::Serialization(_) | StoreError::Busy { .. } => true,
        StoreError::Locked(_) => on_lock == OnLock::Again,
        _ => false,
    }
}
