//! Detects databases of other applications by their tables.

use diesel::prelude::*;

use super::connection::{AnyConnection, texts};
use super::failure::migrating;
use crate::store::{DatabaseUrl, StoreError};

/// The tables that the migrations create.
const TABLES: &str =
    "'users', 'sessions', 'session_stats', 'session_stats_users', 'session_sweeps'";

/// A query for this library's first migration among the applied ones.
const FIRST: &str = "SELECT version AS text FROM __diesel_schema_migrations \
                     WHERE version = '20261124000000'";

/// Returns a query that finds the table of migrations, which may belong to another application.
pub(in crate::store) fn history(connection: &AnyConnection<'_>) -> &'static str {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => {
            "SELECT name AS text FROM sqlite_master WHERE name = '__diesel_schema_migrations'"
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => {
            "SELECT 'exists' AS text WHERE to_regclass('__diesel_schema_migrations') IS NOT NULL"
        }
    }
}

/// Refuses a database that has a table with one of our names but none of our migrations, because it
/// belongs to another application. Changes nothing.
pub(super) fn refuse(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
) -> Result<(), StoreError> {
    let (taken, advice) = match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => (
            format!("SELECT name AS text FROM sqlite_master WHERE name IN ({TABLES})"),
            "give the sessions a file of their own",
        ),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => (
            format!(
                "SELECT relname::text AS text FROM pg_class \
                 WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) \
                 AND relname IN ({TABLES})"
            ),
            "give the sessions a schema of their own, for example with ?options=-csearch_path%3Dsessions",
        ),
    };
    let failed = |error| migrating(url, &error);
    let Some(taken) = texts(connection, &taken).map_err(failed)?.pop() else {
        return Ok(());
    };
    if is_migrated(connection).map_err(failed)? {
        return Ok(());
    }
    let reason = format!(
        "the table {taken:?} already exists and belongs to another application; this library needs \
         the names {}: {advice}",
        TABLES.replace('\'', "")
    );
    Err(migrating(url, &reason))
}

/// Returns whether an SQLite file has tables but none of this library's migrations.
pub(in crate::store) fn has_only_others(connection: &mut AnyConnection<'_>) -> QueryResult<bool> {
    let tables = "SELECT name AS text FROM sqlite_master \
                  WHERE name NOT LIKE 'sqlite_%' AND tbl_name <> '__diesel_schema_migrations'";
    Ok(!texts(connection, tables)?.is_empty() && !is_migrated(connection)?)
}

/// Returns whether this library's first migration has been applied.
fn is_migrated(connection: &mut AnyConnection<'_>) -> QueryResult<bool> {
    let history = history(connection);
    Ok(!texts(connection, history)?.is_empty() && !texts(connection, FIRST)?.is_empty())
}
