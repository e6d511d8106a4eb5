//! [`DieselStore`]: the [`SessionStore`] over an r2d2 pool of Diesel connections.

use std::fmt;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use parking_lot::Mutex;
use uuid::Uuid;

use super::connect::{self, Opening};
use super::connection::AnyConnection;
use super::contention::{Contention, HeldRows};
use super::migrations::{self, Direction};
use super::pool::{Connections, Lease};
#[cfg(feature = "postgres")]
use super::postgres;
use super::row::{self, SessionRow};
use super::schema::sessions;
#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{
    DatabaseUrl, Deleted, ListSessions, LoginOutcome, LoginSession, PoolState, Revocation,
    RotateOutcome, RotateSession, SaveOutcome, SessionRecord, SessionStore, StoreError,
    StoreOptions, SweepBatch, Swept, Withdrawal, WriteBatch, Written, login, users, withdraw,
};

/// How often a job is run again that lost to another transaction.
const RETRIES: u32 = 10;

/// Sessions in SQLite or PostgreSQL, as the URL says.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{DieselStore, SessionStore, StoreOptions};
///
/// # fn main() -> Result<(), rocket_diesel_sessions::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// store.migrate()?;
/// store.ping()?;
/// # Ok(())
/// # }
/// ```
pub struct DieselStore {
    url: DatabaseUrl,
    options: StoreOptions,
    connections: Connections,
    /// SQLite has one writer. Who waits here wakes up at once, unlike with its busy timeout, which
    /// is left to order processes.
    writer: Mutex<()>,
    contention: Contention,
}

impl DieselStore {
    /// Connects once, to find out whether the database can be used; further connections are made
    /// when they are needed. Makes an SQLite file that is not there, for its owner only, and turns
    /// on its write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::Connect`] when the database cannot be reached, opened or written.
    pub fn open(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        connect::open(url, &options, Opening::Serve)?;
        Ok(Self::of(url, options))
    }

    /// Connects as [`open`](Self::open) does, to a database that is there: makes no SQLite file and
    /// leaves the one that is there as it is, since it may be another program's.
    ///
    /// # Errors
    /// [`StoreError::Connect`] when the database cannot be reached or opened.
    pub fn open_existing(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        connect::open(url, &options, Opening::Look)?;
        Ok(Self::of(url, options))
    }

    fn of(url: &DatabaseUrl, options: StoreOptions) -> Self {
        Self {
            url: url.clone(),
            connections: Connections::new(url, &options),
            options,
            writer: Mutex::new(()),
            contention: Contention::default(),
        }
    }

    /// The database in use; shows no password.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Runs the migrations that have not been run and returns their versions. Safe when several
    /// processes do so at once on an empty database. Where none is pending, it takes no lock and
    /// needs no right but to read `__diesel_schema_migrations`.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when one fails.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        if self.pending_migrations()?.is_empty() {
            return Ok(Vec::new());
        }
        migrations::run(&self.url, &self.options, Direction::Up)
    }

    /// Reverts this library's migrations, which deletes all sessions and users, and returns their
    /// versions. An application's own migrations in the same database stay.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when one fails.
    pub fn revert_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrations::run(&self.url, &self.options, Direction::Down)
    }

    /// The migrations that have not been run, by name.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when the database does not say.
    pub fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrations::pending(&self.url, &self.options)
    }

    /// How many sessions have expired by `now` and are still there, to know how long a sweep will
    /// take.
    ///
    /// # Errors
    /// When the database fails, or cannot count them all within its timeout.
    pub fn count_expired(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let expired = sessions::table.filter(sessions::expires_at.le(now.naive_utc()));
        let count: i64 = self.read(|connection| Ok(expired.count().get_result(connection)?))?;
        Ok(count.unsigned_abs())
    }

    /// Runs what only reads: it may be run again on another connection when its own broke.
    pub(super) fn read<T>(
        &self,
        mut job: impl FnMut(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.run(OnLock::Tell, &mut job) {
            Err(StoreError::Broken(_)) => self.run(OnLock::Tell, &mut job),
            result => result,
        }
    }

    /// Runs what writes: once, since after a broken connection nobody knows what was committed.
    /// What did nothing because of another transaction is run again, until the timeout.
    pub(super) fn change<T>(
        &self,
        job: impl FnMut(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Again, job)
    }

    /// The same for a batch: one row that is held is not to keep the others waiting. Its caller
    /// is told, and can run them one by one.
    fn change_batch<T>(
        &self,
        job: impl FnMut(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_with(OnLock::Tell, job)
    }

    /// Runs a batch that must not wait long for a held row: if the usual statements meet one, or have
    /// met one lately, those run that leave held rows out. `has_held` returns whether they did.
    fn change_around_held<T>(
        &self,
        has_held: impl Fn(&T) -> bool,
        mut job: impl FnMut(&mut AnyConnection, HeldRows) -> Result<T, StoreError>,
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
            (_, StoreError::Query(_)) => ran >= self.options.timeout / 4,
            _ => false,
        }
    }

    fn write_with<T>(
        &self,
        on_lock: OnLock,
        mut job: impl FnMut(&mut AnyConnection) -> Result<T, StoreError>,
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
        job: &mut impl FnMut(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let deadline = start + self.options.timeout;
        let mut connection = self.usable_connection(self.options.timeout)?;
        let mut tries = 0;
        loop {
            match job(&mut connection) {
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
                    return Err(error);
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
                Err(error) if error.is_stale_statement() => {
                    self.connections.mark_broken(&mut connection);
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !connection.is_older_than(start) || left.is_zero() {
                        return Err(error);
                    }
                    drop(connection);
                    connection = self.usable_connection(left)?;
                }
                result => return result,
            }
        }
    }

    /// Waits for a connection that the server has not closed while it was idle: what is sent on
    /// a closed one fails, and may not be sent again if it writes.
    fn usable_connection(&self, timeout: Duration) -> Result<Lease<'_>, StoreError> {
        let deadline = Instant::now() + timeout;
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

/// Returns whether the database is known to have closed a connection.
fn is_closed(connection: &mut AnyConnection) -> bool {
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

impl fmt::Debug for DieselStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselStore")
            .field("url", &self.url)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

diesel::alias!(sessions as old: OldSessions);

fn delete(connection: &mut AnyConnection, ids: &[String]) -> QueryResult<Vec<String>> {
    diesel::delete(sessions::table.filter(sessions::id.eq_any(ids)))
        .returning(sessions::id)
        .get_results(connection)
}

/// Runs the database's own version of a statement.
macro_rules! on_database {
    ($connection:expr, $function:ident($($argument:expr),*)) => {
        match $connection {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(connection) => sqlite::$function(connection, $($argument),*)?,
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => postgres::$function(connection, $($argument),*)?,
        }
    };
}

impl SessionStore for DieselStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = self.read(|connection| Ok(on_database!(connection, load(session_ids))))?;
        row::records(rows)
    }

    fn find(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let row = self.read(|connection| {
            let row = sessions::table
                .find(id)
                .select(SessionRow::as_select())
                .first(connection);
            Ok(row.optional()?)
        })?;
        row.map(TryInto::try_into).transpose()
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<Written, StoreError> {
        if batch.saves.is_empty() {
            // New rows meet no held one, and touches leave held ones out.
            return self.change_batch(|connection| {
                Ok(on_database!(connection, write(batch, HeldRows::Wait)))
            });
        }
        self.change_around_held(
            |written: &Written| written.saved.contains(&SaveOutcome::Held),
            |connection, held_rows| Ok(on_database!(connection, write(batch, held_rows))),
        )
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        self.change_batch(|connection| Ok(on_database!(connection, rotate(rotations))))
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        self.change(|connection| login::login(connection, login))
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<String>>, StoreError> {
        self.change(|connection| users::revoke(connection, revocation))
    }

    fn delete(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        self.change_batch(|connection| Ok(delete(connection, ids)?))
    }

    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        self.change_around_held(
            |outcomes: &Vec<RotateOutcome>| outcomes.contains(&RotateOutcome::Held),
            |connection, held_rows| Ok(on_database!(connection, try_rotate(rotations, held_rows))),
        )
    }

    fn try_delete(&self, ids: &[String]) -> Result<Deleted, StoreError> {
        self.change_around_held(
            |deleted: &Deleted| !deleted.held.is_empty(),
            |connection, held_rows| match (connection, held_rows) {
                #[cfg(feature = "postgres")]
                (AnyConnection::Postgres(connection), HeldRows::Skip) => {
                    Ok(postgres::delete_free(connection, ids)?)
                }
                (connection, _) => Ok(Deleted {
                    ended: delete(connection, ids)?,
                    held: Vec::new(),
                }),
            },
        )
    }

    fn withdraw(
        &self,
        withdrawals: &[Withdrawal],
        now: DateTime<Utc>,
    ) -> Result<Vec<bool>, StoreError> {
        self.change(|connection| withdraw::withdraw(connection, withdrawals, now))
    }

    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.read(|connection| match connection {
            // The file is on this machine.
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(_) => Ok(None),
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => Ok(Some(postgres::clock(connection)?.and_utc())),
        })
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<String>, StoreError> {
        // In the order of an index that a rotation moves a row to the end of.
        let some = old
            .filter(old.field(sessions::created_at).le(now.naive_utc()))
            .order(old.field(sessions::session_id))
            .limit(limit.into())
            .select(old.field(sessions::id));
        self.change(|connection| {
            let rows = sessions::table.filter(sessions::id.eq_any(some));
            Ok(diesel::delete(rows)
                .returning(sessions::id)
                .get_results(connection)?)
        })
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = self.read(|connection| {
            let mut live = sessions::table
                .filter(sessions::expires_at.gt(query.now.naive_utc()))
                .order(sessions::session_id.desc())
                .limit(query.limit.into())
                .select(SessionRow::as_select())
                .into_boxed();
            if let Some(after) = query.after {
                live = live.filter(sessions::session_id.lt(after.to_string()));
            }
            if let Some(user_id) = &query.user_id {
                live = live.filter(sessions::user_id.eq(user_id));
            }
            Ok(live.load(connection)?)
        })?;
        Ok(row::readable(rows))
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<Swept, StoreError> {
        self.change(|connection| Ok(on_database!(connection, sweep(batch))))
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| Ok(connection.ping()?))
    }

    /// On a connection of its own: the pool would hide for a while why it has none.
    fn probe(&self) -> Result<(), StoreError> {
        let mut connection = connect::connect(&self.url, &self.options)?;
        Ok(connection.ping()?)
    }

    fn pool(&self) -> Option<PoolState> {
        Some(self.connections.state())
    }

    fn max_writers(&self) -> usize {
        match self.url {
            // One writes, another makes its batch ready meanwhile.
            DatabaseUrl::Sqlite(_) => 2,
            DatabaseUrl::Postgres(_) => usize::MAX,
        }
    }
}
