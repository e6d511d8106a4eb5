//! From the settings to a store that is ready: waits for the database, brings its schema up to date.

use std::time::{Duration, Instant};

use super::config::SessionConfig;
use super::error::SetupError;
use crate::store::{DatabaseUrl, DieselStore, StoreError, StoreOptions};

/// The environment variable that names the database.
const DATABASE_URL: &str = "DATABASE_URL";

/// The database where `DATABASE_URL` is not set.
const DEFAULT_DATABASE: &str = "sqlite://sessions.db";

/// How long a start waits between tries to reach the database, and between its log lines.
const STARTUP_RETRY: Duration = Duration::from_millis(250);
const STARTUP_PROGRESS: Duration = Duration::from_secs(3);

impl SessionConfig {
    /// Connects to the database and brings its schema up to date, waiting for it up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Errors
    /// When the database refuses, cannot be reached in time, or cannot be migrated; with
    /// `auto_migrate` off, when it lacks migrations.
    pub fn open_store(&self, url: &DatabaseUrl) -> Result<DieselStore, SetupError> {
        let store = self.connect(url)?;
        if self.auto_migrate {
            for version in store.migrate()? {
                tracing::info!("ran migration {version}");
            }
            return Ok(store);
        }
        let pending = store.pending_migrations()?;
        if pending.is_empty() {
            return Ok(store);
        }
        let database = url.to_string();
        Err(SetupError::PendingMigrations { database, pending })
    }

    /// Connects to the database and leaves its schema as it is, waiting for it up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Errors
    /// When the database refuses, or cannot be reached in time.
    pub fn connect(&self, url: &DatabaseUrl) -> Result<DieselStore, StoreError> {
        let options = StoreOptions {
            pool_size: self.pool_size,
            prepared_statements: self.prepared_statements,
            timeout: self.timeout,
            sqlite_synchronous: self.sqlite_synchronous,
        };
        let start = Instant::now();
        let mut reported = start;
        loop {
            match DieselStore::open(url, options.clone()) {
                Err(StoreError::Connect {
                    reason,
                    permanent: false,
                    ..
                }) if start.elapsed() < self.startup_timeout => {
                    if reported == start || reported.elapsed() >= STARTUP_PROGRESS {
                        reported = Instant::now();
                        tracing::warn!(
                            "waiting for {url}, {}s of {}s: {reason}",
                            start.elapsed().as_secs(),
                            self.startup_timeout.as_secs()
                        );
                    }
                    std::thread::sleep(STARTUP_RETRY);
                }
                result => return result,
            }
        }
    }
}

/// The database of the environment: `DATABASE_URL`, by default `sqlite://sessions.db`.
///
/// # Errors
/// When it is not a URL of a database that this build can use.
pub fn database_url_from_env() -> Result<DatabaseUrl, StoreError> {
    match std::env::var(DATABASE_URL) {
        Ok(url) if !url.trim().is_empty() => url.trim().parse(),
        Err(std::env::VarError::NotUnicode(_)) => Err(StoreError::Url("must be UTF-8".to_owned())),
        _ => DEFAULT_DATABASE.parse(),
    }
}
