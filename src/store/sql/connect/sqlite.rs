//! The file of an SQLite database: its creation, its permissions and its write-ahead log.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use parking_lot::Mutex;

use super::{Opening, failure};
use crate::store::sql::statements::sqlite::session_setup;
use crate::store::url::sqlite::Location;
use crate::store::{DatabaseUrl, StoreError, StoreOptions};

/// Creates the file if `opening` allows that. If the file cannot be opened, the error gives the
/// reason, which SQLite does not report.
pub(super) fn prepare(
    url: &DatabaseUrl,
    location: &Location<'_>,
    opening: Opening,
) -> Result<(), StoreError> {
    let path = &location.path;
    let refused = |reason: String| {
        Err(failure::connecting(
            url,
            format!("unable to open the database: {reason}"),
        ))
    };
    if path.is_dir() {
        return refused(format!("{} is a directory, not a file", path.display()));
    }
    if path.exists() {
        return Ok(());
    }
    if !location.may_be_made() {
        return refused(format!("the file {} does not exist", path.display()));
    }
    if opening == Opening::Look {
        return refused(format!(
            "the file {} does not exist; correct DATABASE_URL, or create the file with \
             `rocket_diesel_sessions migrate`",
            path.display()
        ));
    }
    let file = file_to_make(path);
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return refused(format!("the directory {} does not exist", folder.display()));
    }
    match make(&file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            refused(format!("{} cannot be created: {error}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the file, or the missing target if it is a symbolic link.
fn file_to_make(path: &Path) -> PathBuf {
    match (path.read_link(), path.parent()) {
        (Ok(target), Some(folder)) => folder.join(target),
        _ => path.to_owned(),
    }
}

/// Creates a file that only its owner can read and write. SQLite gives the files beside it the same
/// mode.
fn make(file: &Path) -> std::io::Result<()> {
    /// Closing a file descriptor releases all locks that the process has on its file. No other
    /// start in this process may open the file before this descriptor is closed.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

#[derive(QueryableByName)]
struct Mode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

/// Checks that the file can be written, and turns on write-ahead logging, a persistent setting of
/// the file with which readers and the writer do not block each other. The change needs exclusive
/// access to the file, and `busy_timeout` does not cover it.
pub(super) fn enable_writing(
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> QueryResult<()> {
    // BEGIN IMMEDIATE alone does not fail on a read-only file.
    let probe = "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; \
                 CREATE TABLE \"a file that can be written\" (x); ROLLBACK;";
    match connection.batch_execute(probe) {
        Err(error) if !is_locked(&error) => return Err(error),
        _ => {}
    }
    let timeout_again = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    connection.batch_execute(&timeout_again)?;
    let deadline = Instant::now() + timeout;
    loop {
        match turn_on_wal(connection) {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Turns on the write-ahead log unless it is on. The busy timeout does not cover this.
fn turn_on_wal(connection: &mut SqliteConnection) -> QueryResult<()> {
    let mode: Mode = diesel::sql_query("PRAGMA journal_mode").get_result(connection)?;
    if mode.journal_mode == "wal" {
        return Ok(());
    }
    connection.batch_execute("PRAGMA journal_mode = WAL")
}

fn is_locked(error: &diesel::result::Error) -> bool {
    error.to_string().contains("locked")
}

/// The own settings of an application's connection that has the library's during a job.
#[derive(QueryableByName)]
pub(super) struct Borrowed {
    #[diesel(sql_type = Integer)]
    timeout: i32,
    #[diesel(sql_type = Integer)]
    foreign_keys: i32,
    #[diesel(sql_type = Integer)]
    synchronous: i32,
    #[diesel(sql_type = Integer)]
    query_only: i32,
}

impl Borrowed {
    /// Reads the connection's settings and applies the library's.
    pub(super) fn set_up(
        connection: &mut SqliteConnection,
        options: &StoreOptions,
    ) -> QueryResult<Self> {
        let own = diesel::sql_query(
            "SELECT timeout, foreign_keys, synchronous, query_only FROM pragma_busy_timeout, \
             pragma_foreign_keys, pragma_synchronous, pragma_query_only",
        );
        let own = own.get_result(connection)?;
        connection.batch_execute(&session_setup(options))?;
        Ok(own)
    }

    /// Restores the connection's own settings.
    pub(super) fn restore(&self, connection: &mut SqliteConnection) -> QueryResult<()> {
        let Self {
            timeout,
            foreign_keys,
            synchronous,
            query_only,
        } = self;
        connection.batch_execute(&format!(
            "PRAGMA busy_timeout = {timeout}; PRAGMA foreign_keys = {foreign_keys}; \
             PRAGMA synchronous = {synchronous}; PRAGMA query_only = {query_only};"
        ))
    }
}
