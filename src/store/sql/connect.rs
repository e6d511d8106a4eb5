//! Makes connections and applies their settings.

pub(in crate::store) mod application;
pub(in crate::store) mod connection;
pub(in crate::store) mod connections;
mod hosts;
#[cfg(feature = "postgres")]
pub(in crate::store) mod libpq;
mod pool;
pub(in crate::store) mod prelude;

pub(in crate::store) mod failure;
pub(in crate::store) mod foreign;
#[cfg(feature = "postgres")]
pub(in crate::store) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection;
#[cfg(feature = "sqlite")]
use diesel::prelude::*;

use self::application::ApplicationPool;
use self::connection::{AnyConnection, OwnedConnection};
use self::connections::Connections;
use self::prelude::{Prelude, run_with};
use crate::store::sql::engine::{self, Engine};
#[cfg(feature = "sqlite")]
use crate::store::url::sqlite::Location;
use crate::store::{DatabasePassword, DatabaseUrl, StoreError, StoreOptions};

/// How long an unrecognized refusal is assumed to be temporary.
const DOUBT: Duration = Duration::from_secs(1);

/// The changes that opening may make to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Opening {
    /// Creates an SQLite file and turns on its write-ahead log.
    Serve,
    /// Changes nothing, because the file may belong to another program.
    Look,
}

/// Connects once to check that the database can be used. Returns what it is.
pub(in crate::store) fn open(
    url: &DatabaseUrl,
    options: &StoreOptions,
    opening: Opening,
) -> Result<Engine, StoreError> {
    url.check()?;
    refuse_schema(url, options)?;
    refuse_password(url, options)?;
    #[cfg(feature = "sqlite")]
    if let DatabaseUrl::Sqlite(location) = url {
        let location = Location::of(location).map_err(StoreError::Url)?;
        sqlite::prepare(url, &location, opening)?;
    }
    let start = Instant::now();
    let mut connection = loop {
        match connect(url, options) {
            Err(error) if failure::is_unknown(&error) && start.elapsed() < DOUBT => {
                std::thread::sleep(DOUBT);
            }
            result => break result?,
        }
    };
    let connection = &mut connection.lend();
    set_up(connection, url, options)?;
    if opening == Opening::Serve {
        serve(connection, url, options, Prelude::of(false, options))?;
    }
    detect(connection, url, options)
}

fn detect(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<Engine, StoreError> {
    engine::detect(connection, options).map_err(|error| failure::connecting(url, error))
}

/// Uses the application's pool, after checking like [`open`] that its database can be used. Also
/// returns the name of the database and what it is.
pub(in crate::store) fn open_pool(
    pool: ApplicationPool,
    options: &StoreOptions,
) -> Result<(Connections, DatabaseUrl, Engine), StoreError> {
    if options.password.is_some() {
        return Err(StoreError::Connect {
            database: "the application's pool".to_owned(),
            reason: "the pool makes its connections itself; remove the option password".to_owned(),
            permanent: true,
        });
    }
    let (connections, url) = Connections::of_application(pool, options)?;
    refuse_schema(&url, options)?;
    let mut lease = connections.checkout(options.timeout)?;
    let connection = &mut lease.lend();
    #[cfg(feature = "postgres")]
    #[allow(irrefutable_let_patterns, reason = "the only database of some builds")]
    if let AnyConnection::Postgres(connection) = connection {
        postgres::look(connection, &url)?;
    }
    serve(connection, &url, options, Prelude::of(true, options))?;
    let engine = detect(connection, &url, options)?;
    drop(lease);
    Ok((connections, url, engine))
}

fn refuse_schema(url: &DatabaseUrl, options: &StoreOptions) -> Result<(), StoreError> {
    match (url, &options.schema) {
        (DatabaseUrl::Sqlite(_), Some(schema)) => Err(StoreError::Connect {
            database: url.to_string(),
            reason: format!("schema = \"{schema}\" is for PostgreSQL; remove the setting"),
            permanent: true,
        }),
        _ => Ok(()),
    }
}

fn refuse_password(url: &DatabaseUrl, options: &StoreOptions) -> Result<(), StoreError> {
    match (url, &options.password) {
        (DatabaseUrl::Sqlite(_), Some(_)) => Err(StoreError::Connect {
            database: url.to_string(),
            reason: "the option password is for PostgreSQL; remove it".to_owned(),
            permanent: true,
        }),
        _ => Ok(()),
    }
}

/// Checks that sessions can be kept in a database, and prepares an SQLite file.
fn serve(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
    prelude: Option<Prelude>,
) -> Result<(), StoreError> {
    let refuse =
        |connection: &mut AnyConnection<'_>| Ok(foreign::refuse(connection, url, options)?);
    run_with(connection.reborrow(), prelude.as_ref(), refuse).flatten()?;
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => sqlite::enable_writing(connection, options.timeout)
            .map_err(|error| failure::connecting(url, error)),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => Ok(()),
    }
}

/// Makes a connection outside any pool. [`set_up`] applies this program's settings to it.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "a file has no options")
)]
pub(in crate::store) fn connect(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<OwnedConnection, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(location) => {
            let location = Location::of(location).map_err(StoreError::Url)?;
            let connection = SqliteConnection::establish(&location.of_existing());
            let connection = connection.map_err(|error| failure::connecting(url, error))?;
            Ok(OwnedConnection::Sqlite(connection))
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(location) => {
            let connection = postgres::connect(url, location, options)?;
            Ok(OwnedConnection::Postgres(connection))
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url(
            "this build does not support this database".to_owned(),
        )),
    }
}

/// Applies this program's settings to a new connection. This queries the database, which may hang.
pub(in crate::store) fn set_up(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => connection
            .batch_execute(&super::statements::sqlite::session_setup(options))
            .map_err(|error| failure::connecting(url, error)),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres::set_up(connection, url, options),
    }
}

/// Runs `job` on its own thread and waits for it for up to `limit`. A silent server may block the
/// thread for ever, and so may the function that supplies the `password`. The thread is then abandoned.
///
/// # Errors
/// Returns the errors of `job`, and [`StoreError::Connect`] if it has not ended in time.
pub(crate) fn bounded<T: Send + 'static>(
    database: &dyn fmt::Display,
    password: Option<&DatabasePassword>,
    limit: Duration,
    job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = mpsc::channel();
    let failed = |reason| StoreError::Connect {
        database: database.to_string(),
        reason,
        permanent: false,
    };
    std::thread::Builder::new()
        .name("database start".to_owned())
        .spawn(move || sender.send(job()))
        .map_err(|error| failed(format!("a thread could not be started: {error}")))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed(match password {
            None => format!("it accepts connections but has not answered for {limit:?}"),
            Some(_) => format!(
                "it, or the function that supplies its password, has not answered for {limit:?}"
            ),
        })),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(failed("the connecting thread panicked".to_owned()))
        }
    }
}
