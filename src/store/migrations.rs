//! The schema's migrations, embedded, and how several processes run them at once.
//!
//! Diesel's harness takes no lock, so that two processes starting on an empty database would both
//! create the tables, and one would fail. On PostgreSQL an advisory lock on a connection of its
//! own orders them; on SQLite one immediate transaction around all of it does.

use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, StoreError, StoreOptions};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Identifies this program's lock among a PostgreSQL database's advisory locks ("sessions").
#[cfg(feature = "postgres")]
const LOCK: i64 = 0x7365_7373_696f_6e73;

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// All that are pending.
    Up,
    /// All that were run, newest first.
    Down,
}

/// Runs migrations; returns the versions it ran, in order.
pub(super) fn run(
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(_) => sqlite(url, options, direction),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(location) => {
            let location = super::postgres::with_connect_timeout(location, options.timeout);
            postgres(url, &location, direction)
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url("not part of this build".to_owned())),
    }
    .map_err(|error| match error {
        StoreError::Query(error) => failed(url, &error),
        other => other,
    })
}

#[cfg(feature = "sqlite")]
fn sqlite(
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    use super::connection::AnyConnection;

    #[allow(irrefutable_let_patterns)]
    let AnyConnection::Sqlite(mut connection) = super::pool::connect(url, options)? else {
        return Err(StoreError::Url("not SQLite".to_owned()));
    };
    connection.immediate_transaction(|connection| apply(connection, SQLITE, direction, url))
}

#[cfg(feature = "postgres")]
fn postgres(
    url: &DatabaseUrl,
    location: &str,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    // Without the pool's statement_timeout: the lock may be long in coming, and so may a migration.
    let mut lock = super::pool::establish::<PgConnection>(url, location)?;
    let mut connection = super::pool::establish::<PgConnection>(url, location)?;
    lock.transaction(|lock| {
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .execute(lock)?;
        apply(&mut connection, POSTGRES, direction, url)
    })
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
        Direction::Up => connection.run_pending_migrations(source),
        Direction::Down => connection.revert_all_migrations(source),
    }
    .map_err(|error| failed(url, &*error))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}

/// Whether a migration of this build has not been run; changes nothing.
pub(super) fn pending(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Vec<String>, StoreError> {
    use super::connection::AnyConnection;

    fn names<C>(connection: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, Failure>
    where
        C: MigrationHarness<C::Backend> + Connection,
        EmbeddedMigrations: MigrationSource<C::Backend>,
    {
        let pending = connection.pending_migrations(source)?;
        Ok(pending
            .iter()
            .map(|migration| migration.name().to_string())
            .collect())
    }

    match super::pool::connect(url, options)? {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(mut connection) => names(&mut connection, SQLITE),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(mut connection) => names(&mut connection, POSTGRES),
    }
    .map_err(|error| failed(url, &*error))
}

fn failed(url: &DatabaseUrl, error: &(impl std::fmt::Display + ?Sized)) -> StoreError {
    StoreError::Migration {
        database: url.to_string(),
        reason: error.to_string(),
    }
}
