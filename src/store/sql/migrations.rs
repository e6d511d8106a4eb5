//! The embedded migrations, and how several processes run them at once.
//!
//! Diesel's harness takes no lock, so two processes that start on an empty database would both
//! create the tables, and one would fail. Here, all migrations run in one transaction, which takes
//! an advisory lock on PostgreSQL and is an immediate one on SQLite.

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

#[cfg(feature = "sqlite")]
use super::connect::connection::OwnedConnection;
use super::connect::connection::{AnyConnection, texts};
use super::connect::failure::migrating;
use super::connect::{connect, foreign, set_up};
use super::error::SqlError;
use crate::store::{DatabaseUrl, StoreError, StoreOptions};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The key of this program's advisory lock in a PostgreSQL database ("sessions").
#[cfg(feature = "postgres")]
const LOCK: i64 = 0x7365_7373_696f_6e73;

/// The direction in which migrations run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Direction {
    /// Runs all pending migrations.
    Up,
    /// Reverts all applied migrations, newest first.
    Down,
}

/// Runs or reverts migrations and returns their versions, in order.
pub(in crate::store) fn run(
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(_) => sqlite(url, options, direction),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(location) => postgres(url, location, options, direction),
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url("not part of this build".to_owned())),
    }
    .map_err(|error| match error {
        StoreError::Query(cause) | StoreError::Server(cause) | StoreError::Full(cause) => {
            migrating(url, &cause)
        }
        other => other,
    })
}

#[cfg(feature = "sqlite")]
fn sqlite(
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    let mut connection = connect(url, options)?;
    set_up(&mut connection.lend(), url, options)?;
    #[allow(irrefutable_let_patterns, reason = "the only database of some builds")]
    let OwnedConnection::Sqlite(mut connection) = connection else {
        return Err(StoreError::Url("not SQLite".to_owned()));
    };
    let result: Result<_, SqlError> = connection
        .immediate_transaction(|connection| Ok(apply(connection, SQLITE, direction, url)?));
    result.map_err(|error| match error.into() {
        StoreError::Query(cause) | StoreError::Server(cause) | StoreError::Full(cause) => {
            failed(url, options, &cause)
        }
        other => other,
    })
}

#[cfg(feature = "postgres")]
fn postgres(
    url: &DatabaseUrl,
    location: &str,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    // No limits, because waiting for the lock and running a migration may take long.
    let limits = super::connect::libpq::Limits::AsGiven;
    let mut connection = super::connect::postgres::establish(url, location, options, limits)?;
    // One connection and one transaction, so that a small pool of PgBouncer suffices. A process
    // that has waited for the lock must see what was done in the meantime, hence READ COMMITTED.
    let mut transaction = connection.build_transaction().read_committed();
    let result: Result<_, SqlError> = transaction.run(|connection| {
        // The role may have limits of its own.
        connection.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")?;
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .execute(connection)?;
        Ok(apply(connection, POSTGRES, direction, url)?)
    });
    Ok(result?)
}

fn apply<C>(
    connection: &mut C,
    source: EmbeddedMigrations,
    direction: Direction,
    url: &DatabaseUrl,
) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<C::Backend> + Connection,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let versions = match direction {
        Direction::Up => connection
            .run_pending_migrations(source)
            .map(|versions| versions.iter().map(ToString::to_string).collect()),
        Direction::Down => revert(connection, &source),
    };
    versions.map_err(|error| migrating(url, &*error))
}

/// Reverts the applied migrations of `source`, newest first. The table of versions may contain
/// others, which belong to an application.
fn revert<C>(connection: &mut C, source: &EmbeddedMigrations) -> Result<Vec<String>, Failure>
where
    C: MigrationHarness<C::Backend> + Connection,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let applied = connection.applied_migrations()?;
    let mut own = MigrationSource::<C::Backend>::migrations(source)?;
    own.retain(|migration| applied.contains(&migration.name().version()));
    own.sort_unstable_by_key(|migration| std::cmp::Reverse(migration.name().version().as_owned()));
    own.iter()
        .map(|migration| Ok(connection.revert_migration(migration)?.to_string()))
        .collect()
}

/// Returns the migrations of this build that have not been run. This changes nothing, unlike
/// Diesel's own `pending_migrations`, which creates its table and needs a right that a server need
/// not have.
pub(in crate::store) fn pending(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Vec<String>, StoreError> {
    let mut connection = connect(url, options)?;
    let connection = &mut connection.lend();
    set_up(connection, url, options)?;
    let names = match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => names::<diesel::sqlite::Sqlite>(&SQLITE),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => names::<diesel::pg::Pg>(&POSTGRES),
    };
    let names = names.map_err(|error| migrating(url, &*error))?;
    let history = foreign::history(connection);
    let mut texts = |query: &str| {
        let texts = texts(connection, query);
        texts.map_err(|error| failed(url, options, &error))
    };
    if texts(history)?.is_empty() {
        return Ok(names.into_iter().map(|(_, name)| name).collect());
    }
    let applied = texts("SELECT version AS text FROM __diesel_schema_migrations")?;
    let is_pending = |version: &str| applied.iter().all(|applied| applied != version);
    Ok(names
        .into_iter()
        .filter(|(version, _)| is_pending(version))
        .map(|(_, name)| name)
        .collect())
}

/// Returns whether the database is an SQLite file that has tables but none of this library's
/// migrations. A PostgreSQL database is often shared and never counts as another program's.
pub(in crate::store) fn is_of_another_program(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<bool, StoreError> {
    if !matches!(url, DatabaseUrl::Sqlite(_)) {
        return Ok(false);
    }
    let mut connection = connect(url, options)?;
    let connection = &mut connection.lend();
    set_up(connection, url, options)?;
    foreign::has_only_others(connection).map_err(|error| failed(url, options, &error))
}

/// Returns the versions and names of the embedded migrations, in order.
fn names<DB: diesel::backend::Backend>(
    source: &EmbeddedMigrations,
) -> Result<Vec<(String, String)>, Failure>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let mut names: Vec<_> = source
        .migrations()?
        .iter()
        .map(|migration| {
            let name = migration.name();
            (name.version().to_string(), name.to_string())
        })
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Converts an error. Only a locked file is worth another attempt.
fn failed(url: &DatabaseUrl, options: &StoreOptions, error: &dyn std::fmt::Display) -> StoreError {
    match url {
        DatabaseUrl::Sqlite(_) if error.to_string().contains("locked") => StoreError::Busy {
            waited: options.timeout,
        },
        _ => migrating(url, error),
    }
}
