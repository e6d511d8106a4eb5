//! The options with which a [`DieselStore`](super::DieselStore) connects.

mod password;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::password::DatabasePassword;

/// The options with which a [`DieselStore`](super::DieselStore) connects.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// let mut options = StoreOptions::default();
/// options.pool_size = 20;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Where the users of sessions are kept. Default [`UserSource::Own`].
    pub users: UserSource,
    /// PostgreSQL only: the schema of the tables, regardless of the search path. Migrations create
    /// it. Default `None`, the first schema of the search path.
    pub schema: Option<SchemaName>,
    /// Whether migrations create the tables of the statistics. Default `true`.
    pub statistics: bool,
    /// PostgreSQL only: which statements and migrations are used. Default [`Dialect::Auto`].
    pub dialect: Dialect,
    /// PostgreSQL only: supplies the password of each new connection, instead of the URL. Default
    /// `None`. Not for [`DieselStore::from_pool`](super::DieselStore::from_pool), which makes no
    /// connections.
    pub password: Option<DatabasePassword>,
}

#[cfg(feature = "diesel")]
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
            users: UserSource::Own,
            schema: None,
            statistics: true,
            dialect: Dialect::Auto,
            password: None,
        }
    }
}

/// The values of SQLite's `PRAGMA synchronous`, which is used in WAL mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SqliteSynchronous {
    /// A commit is on disk when it returns, so it survives a crash of the machine.
    #[default]
    Full,
    /// A crash of the machine may lose the last commits but cannot damage the file. Faster.
    Normal,
}

/// Which statements and migrations a database gets that speaks PostgreSQL's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dialect {
    /// Those that fit the database, which is asked what it is.
    #[default]
    Auto,
    /// The fastest ones for PostgreSQL itself.
    Postgres,
    /// Those that every engine takes, for one that is not recognized.
    Portable,
}

/// Where the users of sessions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum UserSource {
    /// In this library's table `users`. A session's user is a row there, and the session ends with
    /// it.
    #[default]
    Own,
    /// By the application. A user id is any text, and there is no table `users`. The application
    /// ends the sessions of users whom it deletes or disables.
    External,
}

impl UserSource {
    /// Returns the name in the settings.
    #[cfg(feature = "diesel")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::External => "external",
        }
    }
}

/// The name of a PostgreSQL schema: a letter or `_`, followed by letters, digits and `_`, at most
/// 63 characters, not beginning with `pg_`. It is case-sensitive.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::SchemaName;
///
/// let schema: SchemaName = "sessions".parse().unwrap();
/// assert_eq!(schema.as_str(), "sessions");
/// assert!("pg_temp".parse::<SchemaName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaName(String);

impl SchemaName {
    /// Returns the name without quotes.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SchemaName;
    ///
    /// let schema: SchemaName = "session_store".parse().unwrap();
    /// assert_eq!(schema.as_str(), "session_store");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the statement with which a connection uses the schema from then on.
    #[cfg(feature = "postgres")]
    pub(crate) fn for_connection(&self) -> String {
        format!("SET search_path TO \"{}\"", self.0)
    }

    /// Returns the statement with which the rest of a transaction uses the schema.
    #[cfg(feature = "postgres")]
    pub(crate) fn for_transaction(&self) -> String {
        format!("SET LOCAL search_path TO \"{}\"", self.0)
    }
}

impl FromStr for SchemaName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_fit = name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(is_part)
            && !name.starts_with("pg_");
        if is_fit {
            return Ok(Self(name.to_owned()));
        }
        Err(format!(
            "{name:?} is not a valid schema name: a letter or _, followed by letters, digits and \
             _, at most 63 characters, not beginning with pg_"
        ))
    }
}

impl TryFrom<String> for SchemaName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<SchemaName> for String {
    fn from(name: SchemaName) -> Self {
        name.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
