//! The application's own pool. The library restores every setting of a connection that it has
//! changed before the application gets the connection.

use std::fmt;
use std::time::{Duration, Instant};

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::connection::{AnyConnection, run_on};
use super::failure;
#[cfg(feature = "sqlite")]
use super::sqlite::Borrowed;
use crate::store::sql::error::SqlError;
use crate::store::sql::migrations::history::History;
use crate::store::{DatabaseUrl, PoolState, StoreError, StoreOptions};

/// An r2d2 pool of Diesel connections built by the application:
/// `Pool<ConnectionManager<PgConnection>>` or `Pool<ConnectionManager<SqliteConnection>>`.
///
/// # Example
///
/// ```no_run
/// use diesel::prelude::*;
/// use diesel::r2d2::{ConnectionManager, Pool};
/// use rocket_diesel_sessions::DieselStore;
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = ConnectionManager::<PgConnection>::new("postgres://app@db.internal/app");
/// let pool = Pool::builder().max_size(20).build(manager)?;
/// let store = DieselStore::from_pool(pool.clone(), StoreOptions::default())?;
/// store.migrate()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApplicationPool(AnyPool);

#[derive(Clone)]
enum AnyPool {
    #[cfg(feature = "sqlite")]
    Sqlite(Pool<ConnectionManager<SqliteConnection>>),
    #[cfg(feature = "postgres")]
    Postgres(Pool<ConnectionManager<PgConnection>>),
}

#[cfg(feature = "sqlite")]
impl From<Pool<ConnectionManager<SqliteConnection>>> for ApplicationPool {
    fn from(pool: Pool<ConnectionManager<SqliteConnection>>) -> Self {
        Self(AnyPool::Sqlite(pool))
    }
}

#[cfg(feature = "postgres")]
impl From<Pool<ConnectionManager<PgConnection>>> for ApplicationPool {
    fn from(pool: Pool<ConnectionManager<PgConnection>>) -> Self {
        Self(AnyPool::Postgres(pool))
    }
}

impl fmt::Debug for ApplicationPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationPool")
            .field("max_size", &self.max_size())
            .finish_non_exhaustive()
    }
}

/// Evaluates an expression with the inner pool.
macro_rules! of_pool {
    ($pool:expr, |$inner:ident| $body:expr) => {
        match &$pool.0 {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite($inner) => $body,
            #[cfg(feature = "postgres")]
            AnyPool::Postgres($inner) => $body,
        }
    };
}

impl ApplicationPool {
    /// The maximum number of connections that the pool makes.
    pub(crate) fn max_size(&self) -> u32 {
        of_pool!(self, |pool| pool.max_size())
    }

    fn get(&self, timeout: Duration) -> Result<AnyPooled, r2d2::Error> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => Ok(AnyPooled::Sqlite(pool.get_timeout(timeout)?)),
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => Ok(AnyPooled::Postgres(pool.get_timeout(timeout)?)),
        }
    }
}

/// A connection of the application's pool.
enum AnyPooled {
    #[cfg(feature = "sqlite")]
    Sqlite(PooledConnection<ConnectionManager<SqliteConnection>>),
    #[cfg(feature = "postgres")]
    Postgres(PooledConnection<ConnectionManager<PgConnection>>),
}

/// When the library first used a connection of the application.
#[derive(Clone, Copy)]
struct FirstSeen(Instant);

impl AnyPooled {
    fn lend(&mut self) -> AnyConnection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => AnyConnection::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnyConnection::Postgres(connection),
        }
    }

    /// When the library first used this connection, which may have been made earlier.
    fn first_seen(&mut self) -> Instant {
        let extensions = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => PooledConnection::extensions_mut(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => PooledConnection::extensions_mut(connection),
        };
        if let Some(FirstSeen(seen)) = extensions.get() {
            return *seen;
        }
        let now = Instant::now();
        extensions.insert(FirstSeen(now));
        now
    }
}

/// A connection on loan from the application's pool.
pub(in crate::store) struct SharedLease<'p> {
    connection: AnyPooled,
    first_seen: Instant,
    is_discarded: bool,
    /// The statement that restores an SQLite connection's own settings.
    #[cfg(feature = "sqlite")]
    borrowed: Option<Borrowed>,
    /// Released after the connection has been returned.
    _place: Place<'p>,
}

impl SharedLease<'_> {
    pub(super) fn lend(&mut self) -> AnyConnection<'_> {
        self.connection.lend()
    }

    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.first_seen < moment
    }

    pub(super) fn discard(&mut self) {
        self.is_discarded = true;
    }

    /// Applies the library's settings to an SQLite connection until it is returned. Settings of
    /// PostgreSQL are set within each transaction.
    #[cfg(feature = "sqlite")]
    #[allow(irrefutable_let_patterns, reason = "the only database of some builds")]
    fn set_up(&mut self, options: &StoreOptions) -> Result<(), StoreError> {
        if let AnyConnection::Sqlite(connection) = self.connection.lend() {
            let borrowed = Borrowed::set_up(connection, options);
            self.borrowed = Some(borrowed.map_err(SqlError::from)?);
        }
        Ok(())
    }
}

impl Drop for SharedLease<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "sqlite")]
        #[allow(irrefutable_let_patterns, reason = "the only database of some builds")]
        if let (AnyConnection::Sqlite(connection), Some(borrowed)) =
            (self.connection.lend(), self.borrowed.take())
        {
            self.is_discarded |= borrowed.restore(connection).is_err();
        }
        if self.is_discarded {
            close(&mut self.connection.lend());
        }
    }
}

/// Makes the pool close a connection instead of lending it again, because a pool keeps no
/// connection with an open transaction. A broken connection is closed anyway.
fn close(connection: &mut AnyConnection<'_>) {
    fn open_transaction<C: Connection>(connection: &mut C) -> QueryResult<()> {
        C::TransactionManager::begin_transaction(connection)
    }
    let _ = run_on!(connection, |connection| open_transaction(connection));
}

/// The share of the application's pool that the library uses: at most `most` connections at a time.
/// A stuck call keeps its slot, so that stuck calls cannot take the whole pool.
struct Share {
    most: u32,
    taken: Mutex<u32>,
    freed: Condvar,
}

struct Place<'p>(&'p Share);

impl Share {
    /// Waits for a slot until the deadline.
    fn take(&self, deadline: Instant) -> Option<Place<'_>> {
        let mut taken = self.taken.lock();
        let is_full = |taken: &mut u32| *taken >= self.most;
        self.freed.wait_while_until(&mut taken, is_full, deadline);
        if is_full(&mut taken) {
            return None;
        }
        *taken += 1;
        Some(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock() -= 1;
        self.0.freed.notify_one();
    }
}

/// The library's view of the application's pool: up to `pool_size` of its connections at a time.
pub(in crate::store) struct SharedPool {
    pool: ApplicationPool,
    #[cfg(feature = "sqlite")]
    options: StoreOptions,
    share: Share,
    /// When a connection was last found to be broken.
    last_break: Mutex<Option<Instant>>,
}

impl SharedPool {
    pub(super) fn new(pool: ApplicationPool, options: &StoreOptions) -> Self {
        let share = Share {
            most: options.pool_size.min(pool.max_size()).max(1),
            taken: Mutex::default(),
            freed: Condvar::new(),
        };
        Self {
            pool,
            #[cfg(feature = "sqlite")]
            options: options.clone(),
            share,
            last_break: Mutex::default(),
        }
    }

    /// Waits for a connection for up to `timeout`. Connections that were in use before the last
    /// break are not used, because a restart of the server breaks all of them.
    pub(super) fn checkout(&self, timeout: Duration) -> Result<SharedLease<'_>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let Some(place) = self.share.take(deadline) else {
                return Err(StoreError::Pool {
                    waited: timeout,
                    reason: format!(
                        "sessions use {} connections of the application's pool already",
                        self.share.most
                    ),
                });
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let connection = self.pool.get(left);
            let mut connection = connection.map_err(|error| self.no_connection(&error, timeout))?;
            let mut lease = SharedLease {
                first_seen: connection.first_seen(),
                connection,
                is_discarded: false,
                #[cfg(feature = "sqlite")]
                borrowed: None,
                _place: place,
            };
            if self.last_break().is_some_and(|at| at >= lease.first_seen) && !left.is_zero() {
                lease.discard();
                continue;
            }
            #[cfg(feature = "sqlite")]
            lease.set_up(&self.options)?;
            return Ok(lease);
        }
    }

    /// Returns the error for a wait that got no connection. If there are no connections, none can
    /// be made; otherwise all are in use.
    fn no_connection(&self, error: &r2d2::Error, waited: Duration) -> StoreError {
        let reason = failure::without_urls(&error.to_string());
        if of_pool!(self.pool, |pool| pool.state()).connections == 0 {
            StoreError::Connect {
                database: "the database of the application's pool".to_owned(),
                reason,
                permanent: false,
            }
        } else {
            StoreError::Pool { waited, reason }
        }
    }

    pub(super) fn state(&self) -> PoolState {
        let state = of_pool!(self.pool, |pool| pool.state());
        PoolState {
            open: state.connections,
            in_use: state.connections.saturating_sub(state.idle_connections),
            size: self.pool.max_size(),
        }
    }

    pub(super) fn mark_broken(&self) {
        *self.last_break() = Some(Instant::now());
    }

    fn last_break(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_break.lock()
    }
}

/// Returns the name of a connection's database for messages. It cannot be used to connect.
///
/// # Errors
/// Refuses an in-memory SQLite database, because each connection would have its own.
pub(super) fn name(connection: &mut AnyConnection<'_>) -> Result<DatabaseUrl, StoreError> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => {
            let query = "SELECT file AS text FROM pragma_database_list WHERE name = 'main'";
            let file = connection.texts(query).map_err(SqlError::from)?.pop();
            match file.filter(|file| !file.is_empty()) {
                Some(file) => Ok(DatabaseUrl::Sqlite(format!("sqlite://{file}"))),
                None => Err(StoreError::Connect {
                    database: "the SQLite database of the application's pool".to_owned(),
                    reason: "it is in memory, where it ends with its connection: use a file".into(),
                    permanent: true,
                }),
            }
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => {
            let query = "SELECT current_database()::text AS text";
            let name = connection.texts(query).map_err(SqlError::from)?.pop();
            let name = name.unwrap_or_default();
            Ok(DatabaseUrl::Postgres(format!("postgres:///{name}")))
        }
    }
}
