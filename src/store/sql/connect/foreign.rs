//! Databases of other applications, recognized by their tables.

use diesel::QueryResult;

use super::connection::{AnyConnection, run_on};
use super::failure::migrating;
use crate::store::sql::migrations::history::{self, FIRST, History};
use crate::store::{DatabaseUrl, StoreError, StoreOptions, UserSource};

/// The tables of users, if the library keeps them.
const OF_USERS: [&str; 2] = ["users", "user_settings"];

/// The other tables that the migrations create.
const TABLES: [&str; 5] = [
    "sessions",
    "session_events",
    "session_stats",
    "session_stats_users",
    "session_sweeps",
];

/// Refuses a database that has a table with one of our names but none of our migrations, because it
/// belongs to another application. Changes nothing.
pub(super) fn refuse(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let (taken, is_ours) = run_on!(connection, |connection| {
        (taken(connection, options), is_ours(connection))
    });
    let failed = |error| migrating(url, &error);
    let Some(table) = taken.map_err(failed)? else {
        return Ok(());
    };
    if is_ours.map_err(failed)? {
        return Ok(());
    }
    let advice = match (table, url) {
        ("users", _) => "if the application keeps its own users, set sessions.users = \"external\"",
        (_, DatabaseUrl::Sqlite(_)) => "give the sessions a file of their own with sessions.url",
        (_, DatabaseUrl::Postgres(_)) => {
            "give the sessions a schema of their own with sessions.schema"
        }
    };
    let reason = format!(
        "the table {table:?} already exists and belongs to another application; this library \
         creates {}: {advice}",
        tables(options).collect::<Vec<_>>().join(", ")
    );
    Err(migrating(url, &reason))
}

fn tables(options: &StoreOptions) -> impl Iterator<Item = &'static str> {
    let of_users: &[_] = match options.users {
        UserSource::Own => &OF_USERS,
        UserSource::External => &[],
    };
    of_users.iter().copied().chain(TABLES)
}

/// Returns the first of our table names that is taken.
fn taken(
    connection: &mut impl History,
    options: &StoreOptions,
) -> QueryResult<Option<&'static str>> {
    for table in tables(options) {
        if connection.has_own_table(table)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Returns whether this library's migrations have been applied.
fn is_ours(connection: &mut impl History) -> QueryResult<bool> {
    let applied = history::applied(connection)?;
    Ok(applied.iter().any(|row| row.version == FIRST))
}

/// Returns whether the database is an SQLite file that has tables but none of this library's
/// migrations. A PostgreSQL database is often shared and never counts as another program's.
#[cfg_attr(
    not(feature = "sqlite"),
    expect(clippy::unnecessary_wraps, reason = "only files are asked")
)]
pub(in crate::store) fn has_only_others(connection: &mut AnyConnection<'_>) -> QueryResult<bool> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => {
            let tables = connection.texts(
                "SELECT name AS text FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' \
                 AND tbl_name NOT IN ('__diesel_schema_migrations', 'session_schema_migrations')",
            )?;
            Ok(!tables.is_empty() && !is_ours(*connection)?)
        }
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => Ok(false),
    }
}
