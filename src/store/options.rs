//! The options with which a [`DieselStore`](super::DieselStore) connects.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The options with which a [`DieselStore`](super::DieselStore) connects.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Maximum number of open connections. Default 12.
    pub pool_size: u32,
    /// PostgreSQL only: whether statements are prepared once per connection. Default `true`.
    /// PgBouncer in transaction mode needs `false`.
    pub prepared_statements: bool,
    /// Maximum time that a call waits for a connection, a lock or a statement. Default 2 s.
    pub timeout: Duration,
    /// SQLite only: how durable a commit is. Default [`SqliteSynchronous::Full`].
    pub sqlite_synchronous: SqliteSynchronous,
    /// Whether the store is read-only. Default `false`. See
    /// [`DieselStore::open_read_only`](super::DieselStore::open_read_only).
    pub read_only: bool,
}

impl StoreOptions {
    /// Returns the time after which a call counts as stuck in the client library. No statement
    /// takes longer than the timeout, and few calls need two statements that take as long.
    pub(crate) fn patience(&self) -> Duration {
        patience(self.timeout)
    }
}

/// Returns the time after which a call with this `timeout` counts as stuck.
pub(crate) fn patience(timeout: Duration) -> Duration {
    2 * timeout + Duration::from_secs(1)
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            pool_size: 12,
            prepared_statements: true,
            timeout: Duration::from_secs(2),
            sqlite_synchronous: SqliteSynchronous::Full,
            read_only: false,
        }
    }
}

/// The values of SQLite's `PRAGMA synchronous`, which is used in WAL mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqliteSynchronous {
    /// A commit is on disk when it returns, so it survives a crash of the machine.
    #[default]
    Full,
    /// A crash of the machine may lose the last commits but cannot damage the file. Faster.
    Normal,
}
