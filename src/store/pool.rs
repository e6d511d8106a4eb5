//! The r2d2 pool: connects by URL scheme, never reuses a connection that broke.

use std::ops::{Deref, DerefMut};
#[cfg(feature = "postgres")]
use std::sync::Once;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use diesel::connection::CacheSize;
use diesel::connection::InstrumentationEvent;
#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};

use super::connection::AnyConnection;
#[cfg(feature = "postgres")]
use super::libpq::{self, Limits};
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

/// A connection on loan.
pub(super) type Pooled = PooledConnection<Manager>;

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

/// One connection outside any pool, set up like the pool's.
pub(super) fn connect(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<AnyConnection, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(location) => {
            let mut connection = establish::<SqliteConnection>(url, location)?;
            let setup = super::sqlite::session_setup(options);
            connection
                .batch_execute(&setup)
                .map_err(|e| failed(url, e))?;
            Ok(AnyConnection::Sqlite(connection))
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(location) => {
            let mut connection = establish_postgres(url, location, options.timeout)?;
            if options.prepared_statements {
                ask_for_english(url, &mut connection);
            } else {
                // What SET does behind a pooler in transaction mode, it does to others as well.
                connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            Ok(AnyConnection::Postgres(connection))
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url("not part of this build".to_owned())),
    }
}

/// Connects with limits, or without where they are refused: a service without them is better than
/// none.
#[cfg(feature = "postgres")]
fn establish_postgres(
    url: &DatabaseUrl,
    location: &str,
    timeout: Duration,
) -> Result<PgConnection, StoreError> {
    static WARNED: Once = Once::new();
    let with = |limits| {
        let location = libpq::location(location, timeout, limits);
        establish::<PgConnection>(url, &location)
    };
    match with(Limits::ByTimeout) {
        Err(StoreError::Connect { reason, .. }) if libpq::refuses_limits(&reason) => {
            let connection = with(Limits::AsTheServerSays)?;
            WARNED.call_once(|| {
                tracing::warn!(
                    "{url} takes no settings with a connection ({reason}): set statement_timeout \
                     and lock_timeout for the role, see the README on PgBouncer"
                );
            });
            Ok(connection)
        }
        result => result,
    }
}

#[cfg(feature = "postgres")]
fn ask_for_english(url: &DatabaseUrl, connection: &mut PgConnection) {
    static WARNED: Once = Once::new();
    if let Err(error) = super::postgres::ask_for_english(connection) {
        WARNED.call_once(|| {
            tracing::warn!(
                "{url} has messages in another language ({error}): deadlocks and locked rows are \
                 not told from other errors; ALTER ROLE … SET lc_messages = 'C' mends it"
            );
        });
    }
}

/// Opens a connection as it is, with no session settings.
pub(super) fn establish<C: Connection>(url: &DatabaseUrl, location: &str) -> Result<C, StoreError> {
    C::establish(location).map_err(|error| failed(url, error))
}

fn failed(url: &DatabaseUrl, error: impl std::fmt::Display) -> StoreError {
    let reason = error.to_string().trim().to_owned();
    let permanent = match url {
        // A file that cannot be opened now will not be in a second; one that is locked may be.
        DatabaseUrl::Sqlite(_) => !reason.contains("locked"),
        DatabaseUrl::Postgres(_) => is_refusal(&reason),
    };
    StoreError::Connect {
        database: url.to_string(),
        reason,
        permanent,
    }
}

/// Whether a PostgreSQL server answered and refused in a way that waiting does not change.
/// libpq hands on the text alone, without the SQLSTATE.
fn is_refusal(reason: &str) -> bool {
    const LASTING: [&str; 5] = [
        "does not exist",
        "authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
        "invalid connection option",
    ];
    LASTING.iter().any(|text| reason.contains(text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_mends_a_server_that_starts_but_no_wrong_password() {
        assert!(is_refusal(
            "FATAL:  password authentication failed for user \"u\""
        ));
        assert!(is_refusal("FATAL:  database \"d\" does not exist"));
        assert!(!is_refusal("FATAL:  the database system is starting up"));
        assert!(!is_refusal("connection refused"));
    }
}
