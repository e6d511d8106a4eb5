//! The r2d2 pool: connects by URL scheme, never reuses a connection that broke.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(feature = "postgres")]
use diesel::connection::CacheSize;
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use r2d2::{ManageConnection, NopErrorHandler, Pool};

use super::connection::AnyConnection;
use super::{DatabaseUrl, StoreError, StoreOptions};

/// Target of the log lines that show each statement (level debug).
const SQL_LOG: &str = "rocket_diesel_sessions::sql";

/// A pooled connection and whether it broke.
///
/// Diesel's own check sees a broken transaction, but not a lost server.
pub(super) struct PoolConnection {
    connection: AnyConnection,
    broken: bool,
}

impl PoolConnection {
    /// Keeps this connection from being used again.
    pub(super) fn mark_broken(&mut self) {
        self.broken = true;
    }
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

/// A pool that opens its connections when they are first needed.
pub(super) fn build(url: &DatabaseUrl, options: &StoreOptions) -> Pool<Manager> {
    let manager = Manager {
        url: url.clone(),
        options: options.clone(),
    };
    Pool::builder()
        .max_size(options.pool_size)
        .min_idle(Some(0))
        // Costs a round trip at each use; a broken connection is dropped when it shows.
        .test_on_check_out(false)
        .connection_timeout(options.timeout)
        // The error reaches the caller that waits for the connection; r2d2 need not log it too.
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(manager)
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
            let location = super::postgres::with_connect_timeout(location, options.timeout);
            let mut connection = establish::<PgConnection>(url, &location)?;
            let setup = super::postgres::session_setup(options.timeout);
            connection
                .batch_execute(&setup)
                .map_err(|e| failed(url, e))?;
            if !options.prepared_statements {
                connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            Ok(AnyConnection::Postgres(connection))
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url("not part of this build".to_owned())),
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

/// Waits for a connection until `timeout` has passed.
pub(super) fn checkout(
    pool: &Pool<Manager>,
    timeout: Duration,
) -> Result<r2d2::PooledConnection<Manager>, StoreError> {
    pool.get_timeout(timeout).map_err(|error| StoreError::Pool {
        waited: timeout,
        reason: error.to_string(),
    })
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
