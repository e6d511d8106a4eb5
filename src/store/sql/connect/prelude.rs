//! The start of a job on a connection without the library's settings.
//!
//! Such a connection belongs to the application, or is shared with other clients behind a pooler.
//! On PostgreSQL, the job runs in a transaction, with which its settings end. On SQLite, a
//! connection of the application has the library's settings while it is on loan.

#[cfg(feature = "postgres")]
use diesel::connection::{AnsiTransactionManager, TransactionManager};
#[cfg(feature = "postgres")]
use diesel::prelude::*;

use super::connection::AnyConnection;
#[cfg(feature = "postgres")]
use super::libpq::limits;
use crate::store::StoreOptions;
#[cfg(feature = "postgres")]
use crate::store::sql::error;
use crate::store::sql::error::SqlError;

/// The beginning of a job's transaction.
pub(in crate::store) struct Prelude {
    #[cfg(feature = "postgres")]
    begin: String,
    /// Whether statements would fail without the prelude, or use other tables.
    is_needed: bool,
    /// Whether a commit may fail after a part of it was done.
    #[cfg(feature = "postgres")]
    is_distributed: bool,
}

impl Prelude {
    /// Returns the prelude for connections of the application's pool or of the library's own, or
    /// `None` if they have the library's settings.
    pub(in crate::store) fn of(is_of_application: bool, options: &StoreOptions) -> Option<Self> {
        let schema = options.schema.as_ref();
        // Other connections have the schema from their start.
        let schema = schema.filter(|_| is_of_application || !options.prepared_statements);
        (is_of_application || schema.is_some()).then(|| Self {
            #[cfg(feature = "postgres")]
            begin: begin(options).to_owned() + &settings(is_of_application, schema, options),
            is_needed: schema.is_some(),
            #[cfg(feature = "postgres")]
            is_distributed: false,
        })
    }

    /// Returns the prelude for writes to distributed tables. The nodes get its limits, which they
    /// do not get from the connection. Within a transaction, a statement that fails has written
    /// nothing on any node.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn distributed(options: &StoreOptions) -> Self {
        let rest = settings(true, options.schema.as_ref(), options);
        let begin = begin(options);
        Self {
            begin: format!("{begin}; SET LOCAL citus.propagate_set_commands = 'local'{rest}"),
            is_needed: true,
            is_distributed: true,
        }
    }

    /// Returns the prelude for a job that needs no limits.
    pub(in crate::store) fn without_limits(&self) -> Option<&Self> {
        self.is_needed.then_some(self)
    }
}

#[cfg(feature = "postgres")]
fn begin(options: &StoreOptions) -> &'static str {
    if options.read_only {
        "BEGIN READ ONLY"
    } else {
        "BEGIN"
    }
}

/// Returns the settings of a transaction, each after a semicolon.
#[cfg(feature = "postgres")]
fn settings(
    has_no_limits: bool,
    schema: Option<&crate::store::SchemaName>,
    options: &StoreOptions,
) -> String {
    let mut statements = Vec::new();
    if has_no_limits {
        let limit = |(name, value)| format!("; SET LOCAL {name} = {value}");
        statements.extend(limits(options.timeout).map(limit));
    }
    statements.extend(schema.map(|schema| format!("; {}", schema.for_transaction())));
    statements.concat()
}

/// Runs a job on a connection. With a prelude on PostgreSQL, it runs in a transaction that begins
/// with the prelude.
///
/// # Errors
/// The outer error means that the transaction could not begin, so nothing was run.
#[cfg_attr(
    not(feature = "postgres"),
    expect(
        clippy::unnecessary_wraps,
        reason = "SQLite begins no transaction here"
    )
)]
pub(in crate::store) fn run_with<T>(
    connection: AnyConnection<'_>,
    prelude: Option<&Prelude>,
    job: impl FnOnce(&mut AnyConnection<'_>) -> Result<T, SqlError>,
) -> Result<Result<T, SqlError>, SqlError> {
    match (connection, prelude) {
        #[cfg(feature = "postgres")]
        (AnyConnection::Postgres(connection), Some(prelude)) => {
            within_transaction(connection, prelude, job)
        }
        (mut connection, _) => Ok(job(&mut connection)),
    }
}

/// Differs from [`Connection::transaction`] in that the transaction's start and its settings take
/// one round trip.
#[cfg(feature = "postgres")]
fn within_transaction<T>(
    connection: &mut PgConnection,
    prelude: &Prelude,
    job: impl FnOnce(&mut AnyConnection<'_>) -> Result<T, SqlError>,
) -> Result<Result<T, SqlError>, SqlError> {
    AnsiTransactionManager::begin_transaction_sql(connection, &prelude.begin)?;
    let result = job(&mut AnyConnection::Postgres(connection)).and_then(|done| {
        match AnsiTransactionManager::commit_transaction(connection) {
            Ok(()) => Ok(done),
            Err(error) if prelude.is_distributed => Err(error::of_distributed_commit(error)),
            Err(error) => Err(error.into()),
        }
    });
    if result.is_err() {
        // If this fails as well, the pool closes the connection.
        let _ = AnsiTransactionManager::rollback_transaction(connection);
    }
    Ok(result)
}
