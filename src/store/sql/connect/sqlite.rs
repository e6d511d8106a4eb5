//! The file of an SQLite database: where it is, who may read it, and its write-ahead log.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use parking_lot::Mutex;

use super::{Opening, failure};
use crate::store::url::sqlite::Location;
use crate::store::{DatabaseUrl, StoreError};

/// Makes the file if a start may, and names what keeps it from being opened. SQLite says no more
/// than that it cannot.
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
        return refused(format!("{} is a folder, not a file", path.display()));
    }
    if path.exists() {
        return Ok(());
    }
    if !location.may_be_made() {
        return refused(format!("there is no file {}", path.display()));
    }
    if opening == Opening::Look {
        return refused(format!(
            "there is no file {}; correct DATABASE_URL, or make it with \
             `rocket_diesel_sessions migrate`",
            path.display()
        ));
    }
    let file = file_to_make(path);
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return refused(format!("there is no folder {}", folder.display()));
    }
    match make(&file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            refused(format!("{} cannot be made: {error}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The file, or the one that a link leads to which is not there.
fn file_to_make(path: &Path) -> PathBuf {
    match (path.read_link(), path.parent()) {
        (Ok(target), Some(folder)) => folder.join(target),
        _ => path.to_owned(),
    }
}

/// Makes a file for the owner only. SQLite gives the files beside it the same mode.
fn make(file: &Path) -> std::io::Result<()> {
    /// The end of a file descriptor ends all locks that the process has on its file. So no other
    /// start of this process may open it before this one is closed.
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

/// Finds out whether the file can be written, and turns on write-ahead logging, which stays with
/// the file: readers and the writer no longer block each other. The change needs the file for
/// itself, and `busy_timeout` does not cover it.
pub(super) fn enable_writing(
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> QueryResult<()> {
    // BEGIN IMMEDIATE does not fail on a file that is read-only.
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

/// Turns on the write-ahead log where it is not on. The busy timeout does not cover this.
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
