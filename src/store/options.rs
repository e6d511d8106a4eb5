//! How a [`DieselStore`](super::DieselStore) connects.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a [`DieselStore`](super::DieselStore) connects.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Most connections at a time. Default 12.
    pub pool_size: u32,
    /// PostgreSQL only: whether statements are prepared once per connection. Default `true`.
    /// A PgBouncer in transaction mode needs `false`.
    pub prepared_statements: bool,
    /// How long a call may wait for a connection, a lock or a statement. Default 2 s.
    pub timeout: Duration,
    /// SQLite only: when a commit counts as done. Default [`SqliteSynchronous::Full`].
    pub sqlite_synchronous: SqliteSynchronous,
    /// Whether the store is for reading only. Default `false`; see
    /// [`DieselStore::open_read_only`](super::DieselStore::open_read_only).
    pub read_only: bool,
}

impl StoreOptions {
    /// The time after which a call is taken to be stuck in the client library: no statement takes
    /// longer than the timeout, and few calls need two in a row that take as long.
    pub(crate) fn patience(&self) -> Duration {
        patience(self.timeout)
    }
}

/// The time after which a call that may take `timeout` is taken to be stuck.
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

/// `PRAGMA synchronous` of SQLite in WAL mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqliteSynchronous {
    /// A commit is on the disk when it returns: it survives a crash of the machine.
    #[default]
    Full,
    /// A crash of the machine may lose the last commits, but not damage the file. Faster.
    Normal,
}
