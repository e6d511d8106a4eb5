//! One connection type for both databases. It borrows, so it works with the connection of any pool,
//! and with one that an application lends in the middle of its own transaction.
//!
//! Statements with the same text on both databases are written once, with [`run_on!`]. Hot or
//! database-specific ones match on [`AnyConnection`] and use the inner connection.

use diesel::connection::{CacheSize, Instrumentation};
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use diesel::result::Error as DieselError;

/// A borrowed connection to SQLite or PostgreSQL.
pub(in crate::store) enum AnyConnection<'c> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut diesel::SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(&'c mut diesel::PgConnection),
}

/// Evaluates an expression with the inner connection of an [`AnyConnection`]. The expression is
/// compiled once per database, so it may use Diesel types of either.
///
/// It looks like a closure but is not one: `?` returns from the enclosing function.
macro_rules! run_on {
    ($connection:expr, |$inner:ident| $body:expr) => {{
        use $crate::store::sql::connect::connection::AnyConnection;
        match $connection {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(inner) => {
                let $inner: &mut diesel::SqliteConnection = inner;
                $body
            }
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(inner) => {
                let $inner: &mut diesel::PgConnection = inner;
                $body
            }
        }
    }};
}

pub(in crate::store) use run_on;

impl AnyConnection<'_> {
    /// Runs `job` in a transaction, or in a savepoint if there is a transaction already.
    pub(in crate::store) fn transaction<T, E: From<DieselError>>(
        &mut self,
        job: impl FnOnce(&mut AnyConnection<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                connection.transaction(|connection| job(&mut AnyConnection::Sqlite(connection)))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                connection.transaction(|connection| job(&mut AnyConnection::Postgres(connection)))
            }
        }
    }

    /// Lends the connection for a shorter time.
    pub(in crate::store) fn reborrow(&mut self) -> AnyConnection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => AnyConnection::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnyConnection::Postgres(connection),
        }
    }

    /// Checks that the database answers.
    pub(in crate::store) fn ping(&mut self) -> QueryResult<()> {
        run_on!(self, |connection| connection.ping())
    }

    pub(in crate::store) fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        run_on!(self, |connection| connection
            .set_instrumentation(instrumentation));
    }

    pub(in crate::store) fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        run_on!(self, |connection| connection
            .set_prepared_statement_cache_size(size));
    }
}

/// A connection to SQLite or PostgreSQL that this library has made.
pub(in crate::store) enum OwnedConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(diesel::SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(diesel::PgConnection),
}

impl OwnedConnection {
    pub(in crate::store) fn lend(&mut self) -> AnyConnection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => AnyConnection::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => AnyConnection::Postgres(connection),
        }
    }

    /// Returns whether the connection's transactions are in an unknown state. Needs no round trip.
    pub(in crate::store) fn is_broken(&mut self) -> bool {
        run_on!(self.lend(), |connection| connection.is_broken())
    }
}
