//! The embedded migrations, and how several processes run them at once.
//!
//! Diesel's harness takes no lock, so two processes that start on an empty database would both
//! create the tables, and one would fail. Here, all migrations run in one transaction, which takes
//! an advisory lock on PostgreSQL, writes to a row on other engines that speak its language, and is
//! an immediate one on SQLite.

#[cfg(feature = "postgres")]
mod distribute;
pub(super) mod history;
#[cfg(feature = "postgres")]
mod lock;
mod sets;

use chrono::Utc;
use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel_migrations::EmbeddedMigrations;

use self::history::{Applied, FIRST, History};
use self::sets::{Named, Sets};
use super::connect::connection::AnyConnection;
use super::connect::failure::migrating;
use super::connect::foreign::has_only_others;
#[cfg(feature = "postgres")]
use super::engine::{self, Engine};
use super::error::SqlError;
use crate::store::{DatabaseUrl, StoreError, StoreOptions, UserSource};

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
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => sqlite(connection, url, options, direction),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres(connection, url, options, direction),
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
    connection: &mut SqliteConnection,
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    let result: Result<_, SqlError> = connection.immediate_transaction(|connection| {
        Ok(apply(connection, &sets::SQLITE, direction, url, options)?)
    });
    result.map_err(|error| match error.into() {
        StoreError::Query(cause) | StoreError::Server(cause) | StoreError::Full(cause) => {
            failed(url, options, &cause)
        }
        other => other,
    })
}

#[cfg(feature = "postgres")]
fn postgres(
    connection: &mut PgConnection,
    url: &DatabaseUrl,
    options: &StoreOptions,
    direction: Direction,
) -> Result<Vec<String>, StoreError> {
    let connected = &mut AnyConnection::Postgres(connection);
    let engine = engine::detect(connected, options).map_err(SqlError::from)?;
    if engine == Engine::Citus && direction == Direction::Down {
        let reason = "its tables are distributed, and triggers that a revert expects are gone; drop \
                      the tables instead";
        return Err(migrating(url, reason));
    }
    let result = lock::exclusively(connection, engine, options.schema.as_ref(), |connection| {
        Ok(apply(
            connection,
            of_engine(engine),
            direction,
            url,
            options,
        )?)
    });
    Ok(result?)
}

/// Returns the migrations that an engine takes.
#[cfg(feature = "postgres")]
fn of_engine(engine: Engine) -> &'static Sets {
    match engine {
        Engine::Portable => &sets::PORTABLE,
        _ => &sets::POSTGRES,
    }
}

fn apply<C>(
    connection: &mut C,
    sets: &Sets,
    direction: Direction,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Vec<String>, StoreError>
where
    C: History + BoxableConnection<<C as diesel::Connection>::Backend>,
    EmbeddedMigrations: MigrationSource<<C as diesel::Connection>::Backend>,
{
    if direction == Direction::Up {
        // First, because it makes a reused connection learn of tables that others have made since.
        history::create(connection).map_err(SqlError::from)?;
    }
    let applied = history::applied(connection).map_err(SqlError::from)?;
    check_users(&applied, url, options)?;
    let wanted = sets
        .wanted(options)
        .map_err(|error| migrating(url, &*error))?;
    let was_run = |migration: &Named<_>| applied.iter().any(|row| row.version == migration.version);
    let (done, pending): (Vec<_>, Vec<_>) = wanted.into_iter().partition(was_run);
    match direction {
        Direction::Up => up(connection, &applied, &done, &pending),
        Direction::Down => down(connection, done),
    }
    .map_err(|error| migrating(url, &*error))
}

type Versions = diesel::migration::Result<Vec<String>>;

fn up<C>(
    connection: &mut C,
    applied: &[Applied],
    done: &[Named<<C as diesel::Connection>::Backend>],
    pending: &[Named<<C as diesel::Connection>::Backend>],
) -> Versions
where
    C: History + BoxableConnection<<C as diesel::Connection>::Backend>,
{
    let now = Utc::now();
    history::create(connection)?;
    let is_of_diesel = |version: &str| {
        let mut rows = applied.iter();
        rows.any(|row| row.version == version && row.name.is_empty())
    };
    for migration in done {
        if is_of_diesel(&migration.version) {
            history::record(connection, &migration.version, &migration.name, now, true)?;
        }
    }
    for Named {
        version,
        name,
        migration,
    } in pending
    {
        migration
            .run(connection)
            .map_err(|error| format!("Failed to run {name} with: {error}"))?;
        history::record(connection, version, name, now, false)?;
    }
    Ok(pending
        .iter()
        .map(|migration| migration.version.clone())
        .collect())
}

/// Reverts the applied migrations, newest first.
fn down<C>(connection: &mut C, mut done: Vec<Named<<C as diesel::Connection>::Backend>>) -> Versions
where
    C: History + BoxableConnection<<C as diesel::Connection>::Backend>,
{
    done.reverse();
    history::create(connection)?;
    for Named {
        version,
        name,
        migration,
    } in &done
    {
        history::forget(connection, version)?;
        migration
            .revert(connection)
            .map_err(|error| format!("Failed to revert {name} with: {error}"))?;
    }
    Ok(done
        .into_iter()
        .map(|migration| migration.version)
        .collect())
}

/// Refuses a database whose table `sessions` was created for another source of users than the
/// settings name: it either refers to `users` or does not.
fn check_users(
    applied: &[Applied],
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let Some(first) = applied.iter().find(|row| row.version == FIRST) else {
        return Ok(());
    };
    let stored = if first.name.ends_with("create_sessions") {
        UserSource::External
    } else {
        UserSource::Own
    };
    if stored == options.users {
        return Ok(());
    }
    let reason = format!(
        "its table sessions was created with users = {:?}, but the setting is {:?}: set \
         sessions.users = {:?}, or give the sessions a file or schema of their own",
        stored.name(),
        options.users.name(),
        stored.name()
    );
    Err(migrating(url, &reason))
}

/// Returns the names of the migrations of this build that have not been run. Changes nothing.
pub(in crate::store) fn pending(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Vec<String>, StoreError> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => lacking(*connection, &sets::SQLITE, url, options),
        #[cfg(feature = "postgres")]
        connection @ AnyConnection::Postgres(_) => {
            let engine = engine::detect(connection, options);
            let engine = engine.map_err(|error| failed(url, options, &error))?;
            match connection {
                AnyConnection::Postgres(connection) => {
                    lacking(*connection, of_engine(engine), url, options)
                }
                #[cfg(feature = "sqlite")]
                AnyConnection::Sqlite(_) => Ok(Vec::new()),
            }
        }
    }
}

fn lacking<C: History>(
    connection: &mut C,
    sets: &Sets,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Vec<String>, StoreError>
where
    C::Backend: Backend,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let applied = history::applied(connection).map_err(|error| failed(url, options, &error))?;
    check_users(&applied, url, options)?;
    let wanted = sets.wanted::<C::Backend>(options);
    let wanted = wanted.map_err(|error| migrating(url, &*error))?;
    let is_pending = |version: &str| applied.iter().all(|row| row.version != version);
    Ok(wanted
        .into_iter()
        .filter(|migration| is_pending(&migration.version))
        .map(|migration| migration.name)
        .collect())
}

/// Returns whether the database is an SQLite file that has tables but none of this library's
/// migrations.
pub(in crate::store) fn is_of_another_program(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<bool, StoreError> {
    has_only_others(connection).map_err(|error| failed(url, options, &error))
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
