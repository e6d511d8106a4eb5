//! The r2d2 pool: never reuses a connection that broke.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};

use super::connect::{connect, set_up};
use super::connection::AnyConnection;
use super::{DatabaseUrl, PoolState, StoreError, StoreOptions};

/// Target of the log lines that show each statement (level debug).
const SQL_LOG: &str = "rocket_diesel_sessions::sql";

/// The longest wait between two tries to connect: a database that is back is found by then.
const MAX_RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// A pooled connection and whether it broke.
///
/// Diesel's own check sees a broken transaction, but not a lost server.
pub(super) struct PoolConnection {
    connection: AnyConnection,
    made: Instant,
    broken: bool,
}

impl Deref for PoolConnection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for PoolConnection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl PoolConnection {
    /// Whether it was made before `moment`.
    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.made < moment
    }

    /// Keeps it from being used again.
    pub(super) fn discard(&mut self) {
        self.broken = true;
    }
}

pub(super) struct Manager {
    url: DatabaseUrl,
    options: StoreOptions,
}

impl ManageConnection for Manager {
    type Connection = PoolConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<PoolConnection, StoreError> {
        let mut connection = connect(&self.url, &self.options)?;
        set_up(&mut connection, &self.url, &self.options)?;
        log_statements(&mut connection);
        Ok(PoolConnection {
            connection,
            made: Instant::now(),
            broken: false,
        })
    }

    fn is_valid(&self, connection: &mut PoolConnection) -> Result<(), StoreError> {
        Ok(connection.ping()?)
    }

    fn has_broken(&self, connection: &mut PoolConnection) -> bool {
        std::thread::panicking() || connection.broken || connection.is_broken()
    }
}

/// The pool, which opens its connections when they are first needed.
pub(super) struct Connections {
    url: DatabaseUrl,
    pool: Pool<Manager>,
    /// When a connection was last found broken.
    last_break: Mutex<Option<Instant>>,
}

impl Connections {
    pub(super) fn new(url: &DatabaseUrl, options: &StoreOptions) -> Self {
        let manager = Manager {
            url: url.clone(),
            options: options.clone(),
        };
        let pool = Pool::builder()
            .max_size(options.pool_size)
            .min_idle(Some(0))
            // Costs a round trip at each use; a broken connection is dropped when it shows.
            .test_on_check_out(false)
            // Waits are given at each use; this alone decides how fast it tries to connect again.
            .connection_timeout(2 * MAX_RECONNECT_DELAY)
            // The error reaches the caller that waits for the connection; r2d2 need not log it too.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self {
            url: url.clone(),
            pool,
            last_break: Mutex::new(None),
        }
    }

    /// Waits for a connection until `timeout` has passed. What is older than the last break is not
    /// used: after a restart of the server, all of it is broken.
    pub(super) fn checkout(
        &self,
        timeout: Duration,
    ) -> Result<PooledConnection<Manager>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let checkout = self.pool.get_timeout(left);
            let mut connection = checkout.map_err(|error| self.no_connection(&error, timeout))?;
            if self
                .last_break()
                .is_none_or(|broke| broke < connection.made)
            {
                return Ok(connection);
            }
            connection.broken = true;
        }
    }

    /// Where there is no connection at all, none can be made; where there are some, they are in use.
    fn no_connection(&self, error: &r2d2::Error, waited: Duration) -> StoreError {
        let reason = error.to_string();
        if self.pool.state().connections == 0 {
            StoreError::Connect {
                database: self.url.to_string(),
                reason,
                permanent: false,
            }
        } else {
            StoreError::Pool { waited, reason }
        }
    }

    pub(super) fn state(&self) -> PoolState {
        let state = self.pool.state();
        PoolState {
            open: state.connections,
            in_use: state.connections.saturating_sub(state.idle_connections),
        }
    }

    /// Keeps a connection, and those that are older than this moment, from being used again.
    pub(super) fn mark_broken(&self, connection: &mut PoolConnection) {
        connection.broken = true;
        *self.last_break() = Some(Instant::now());
    }

    fn last_break(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_break
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows each statement, without its values, where that is asked for.
fn log_statements(connection: &mut AnyConnection) {
    if !tracing::enabled!(target: SQL_LOG, tracing::Level::DEBUG) {
        return;
    }
    connection.set_instrumentation(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let query = query.to_string();
            let statement = query.split(" -- binds:").next().unwrap_or_default();
            tracing::debug!(target: SQL_LOG, "{statement}");
        }
    });
}
