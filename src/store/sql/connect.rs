//! How a connection is made, to which database and with which settings.

pub(in crate::store) mod connection;
#[cfg(feature = "postgres")]
pub(in crate::store) mod libpq;
pub(in crate::store) mod pool;

pub(in crate::store) mod failure;
pub(in crate::store) mod foreign;
#[cfg(feature = "postgres")]
pub(in crate::store) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::mpsc;
use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection;
#[cfg(feature = "sqlite")]
use diesel::prelude::*;

use self::connection::{AnyConnection, OwnedConnection};
#[cfg(feature = "sqlite")]
use crate::store::url::sqlite::Location;
use crate::store::{DatabaseUrl, StoreError, StoreOptions};

/// How long a refusal that is not understood is held to be one that goes away.
const DOUBT: Duration = Duration::from_secs(1);

/// What a start may do to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Opening {
    /// Make an SQLite file, and turn on its write-ahead log.
    Serve,
    /// Neither: the file may be another program's.
    Look,
}

/// Connects once, to find out whether the database can be used.
pub(in crate::store) fn open(
    url: &DatabaseUrl,
    options: &StoreOptions,
    opening: Opening,
) -> Result<(), StoreError> {
    url.check()?;
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
        foreign::refuse(connection, url)?;
    }
    #[cfg(feature = "sqlite")]
    if let (AnyConnection::Sqlite(connection), Opening::Serve) = (connection, opening) {
        sqlite::enable_writing(connection, options.timeout)
            .map_err(|error| failure::connecting(url, error))?;
    }
    Ok(())
}

/// Makes a connection outside any pool. [`set_up`] gives it the settings of this program.
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
        _ => Err(StoreError::Url("not part of this build".to_owned())),
    }
}

/// Gives a new connection the settings of this program. Asks the database, which may hang.
pub(in crate::store) fn set_up(
    connection: &mut AnyConnection<'_>,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(connection) => connection
            .batch_execute(&super::sqlite::session_setup(options))
            .map_err(|error| failure::connecting(url, error)),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => postgres::set_up(connection, url, options),
    }
}

/// Runs `job` on a thread of its own and waits for it up to `limit`: a server that says nothing may
/// keep it for ever, and then the thread is left behind.
///
/// # Errors
/// Those of `job`; [`StoreError::Connect`] when it has not ended in time.
pub(crate) fn bounded<T: Send + 'static>(
    url: &DatabaseUrl,
    limit: Duration,
    job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = mpsc::channel();
    let failed = |reason| StoreError::Connect {
        database: url.to_string(),
        reason,
        permanent: false,
    };
    std::thread::Builder::new()
        .name("database start".to_owned())
        .spawn(move || sender.send(job()))
        .map_err(|error| failed(format!("no thread could be started: {error}")))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed(format!(
            "it accepts connections and has not answered for {limit:?}"
        ))),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(failed("the thread that connects has panicked".to_owned()))
        }
    }
}
