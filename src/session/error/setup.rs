//! The errors of setting sessions up: they stop the launch.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::Cause;
use crate::store::StoreError;

/// An unusable setting: its key, its value, and what is allowed.
#[derive(Clone, Debug, Error)]
#[error("{key}{value}: {allowed}")]
pub struct ConfigError {
    key: String,
    value: String,
    allowed: String,
}

impl ConfigError {
    /// Creates the error for a setting whose value is not allowed.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::ConfigError;
    ///
    /// let error = ConfigError::new("SHOP_COLOR", "blu", "allowed are red, blue");
    /// assert_eq!(error.to_string(), "SHOP_COLOR = blu: allowed are red, blue");
    /// ```
    pub fn new(
        key: impl Into<String>,
        value: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self {
            key: key.into(),
            value: format!(" = {value}"),
            allowed: allowed.to_string(),
        }
    }

    /// Creates the error for a setting that is missing or whose value must not be shown.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::ConfigError;
    ///
    /// let error = ConfigError::unfit("SHOP_KEY", "has 3 bytes; at least 32 are needed");
    /// assert_eq!(error.to_string(), "SHOP_KEY: has 3 bytes; at least 32 are needed");
    /// ```
    pub fn unfit(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            value: String::new(),
            allowed: problem.to_string(),
        }
    }

    /// Returns the error for the same setting in the section of a kind of session.
    pub(crate) fn of_kind(mut self, kind: &str) -> Self {
        if let Some(key) = self.key.strip_prefix("sessions.") {
            self.key = format!("sessions.{kind}.{key}");
        }
        self
    }

    /// Returns the setting's key, such as `sessions.idle_timeout` or `SESSION_SECRET`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// let error = SessionKeys::parse("short").unwrap_err();
    /// assert_eq!(error.key(), "SESSION_SECRET");
    /// ```
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The reason why sessions could not be set up. It stops the launch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration cannot be read.
    #[error("{0}")]
    Figment(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Migrations are pending, and `auto_migrate` is off.
    #[error(
        "{database} lacks the migrations {}; run `rocket_diesel_sessions migrate`, or set \
         sessions.auto_migrate = true", .pending.join(", ")
    )]
    #[non_exhaustive]
    PendingMigrations {
        /// The database, without its password.
        database: String,
        /// Names of the pending migrations.
        pending: Vec<String>,
    },
    /// Migrations are pending, and the command does not run them.
    #[error(
        "{database} lacks the migrations {}; run `rocket_diesel_sessions migrate` first",
        .pending.join(", ")
    )]
    #[non_exhaustive]
    NotMigrated {
        /// The database, without its password.
        database: String,
        /// Names of the pending migrations.
        pending: Vec<String>,
    },
    /// The debug profile's secret file cannot be created or read.
    #[error("{}: {source}; set SESSION_SECRET instead", .path.display())]
    #[non_exhaustive]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The system's random number generator failed.
    #[error("the random number generator failed: {0}")]
    Random(#[source] Cause),
    /// The session data's default value could not be stored and read back.
    #[error("{type_name}::default(): {reason}")]
    #[non_exhaustive]
    DefaultData {
        /// The type of the session data.
        type_name: &'static str,
        /// The fault in the value.
        reason: String,
    },
    /// A fairing with the same data type or the same kind is attached already.
    #[error("{what} is attached twice; each kind of session has a name and a data type of its own")]
    #[non_exhaustive]
    AttachedTwice {
        /// What both fairings have.
        what: String,
    },
    /// A section of the settings is for a kind of session that is not attached.
    #[error(
        "[default.sessions.{kind}]: neither a setting nor an attached kind of session; attached are \
         {}", .attached.join(", ")
    )]
    #[non_exhaustive]
    UnknownKind {
        /// The name of the section.
        kind: String,
        /// The names of the attached kinds.
        attached: Vec<String>,
    },
    /// Two metrics have the same name.
    #[error("metrics: {0}")]
    Metrics(String),
    /// A thread could not be started.
    #[error("the worker threads could not be started: {0}")]
    Threads(#[source] std::io::Error),
}
