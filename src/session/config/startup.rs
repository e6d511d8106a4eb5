//! From the settings to a store that is ready: waits for the database, brings its schema up to date.

use std::time::{Duration, Instant};

use super::SessionConfig;
use crate::session::error::SetupError;
use crate::store::{DatabaseUrl, DieselStore, StoreError, StoreOptions, bounded};

/// The environment variable that names the database.
const DATABASE_URL: &str = "DATABASE_URL";

/// The database where `DATABASE_URL` is not set.
const DEFAULT_DATABASE: &str = "sqlite://sessions.db";

/// How long a start waits between tries to reach the database, and between its log lines.
const STARTUP_RETRY: Duration = Duration::from_millis(250);
const STARTUP_PROGRESS: Duration = Duration::from_secs(3);

/// The shortest time that a try to reach the database is given beyond `timeout`.
const LEAST_TRY: Duration = Duration::from_secs(2);

impl SessionConfig {
    /// Connects to the database and brings its schema up to date, waiting for it up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Errors
    /// When the database refuses, cannot be reached in time, or cannot be migrated; with
    /// `auto_migrate` off, when it lacks migrations.
    pub fn open_store(&self, url: &DatabaseUrl) -> Result<DieselStore, SetupError> {
        let (store, pending) = self.look(url)?;
        if pending.is_empty() {
            return Ok(store);
        }
        if !self.auto_migrate {
            let database = url.to_string();
            return Err(SetupError::PendingMigrations { database, pending });
        }
        for version in self.run_migrations(&store)? {
            tracing::info!("ran migration {version}");
        }
        Ok(store)
    }

    /// Connects to the database and leaves its schema as it is, waiting for it up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Errors
    /// When the database refuses, or cannot be reached in time.
    pub fn connect(&self, url: &DatabaseUrl) -> Result<DieselStore, StoreError> {
        self.reach(url, DieselStore::open)
    }

    /// Connects to a database that is there and up to date, to read only, waiting for it up to
    /// `startup_timeout`: see [`DieselStore::open_read_only`]. Blocks.
    ///
    /// # Errors
    /// When the database refuses, cannot be reached in time, or lacks migrations.
    pub fn open_to_read(&self, url: &DatabaseUrl) -> Result<DieselStore, SetupError> {
        let (store, pending) = self.reach(url, |url, options| {
            let store = DieselStore::open_read_only(url, options)?;
            let pending = store.pending_migrations()?;
            Ok((store, pending))
        })?;
        if pending.is_empty() {
            return Ok(store);
        }
        let database = url.to_string();
        Err(SetupError::NotMigrated { database, pending })
    }

    /// Connects as [`open_store`](Self::open_store) does, for a command that changes something
    /// beside the server. A database that is up to date is left as it is. So is an SQLite file
    /// that has only tables of another program: the URL may be a mistake. Blocks.
    ///
    /// # Errors
    /// As for `open_store`, and when the file is another program's.
    pub fn open_to_write(&self, url: &DatabaseUrl) -> Result<DieselStore, SetupError> {
        if self.auto_migrate && url.is_missing_file() {
            return self.open_store(url);
        }
        let (store, pending, is_other) = self.reach(url, |url, options| {
            let store = DieselStore::open_existing(url, options)?;
            let pending = store.pending_migrations()?;
            let is_other = store.is_of_another_program()?;
            Ok((store, pending, is_other))
        })?;
        if pending.is_empty() {
            return Ok(store);
        }
        if self.auto_migrate && is_other {
            let database = url.to_string();
            return Err(SetupError::NotMigrated { database, pending });
        }
        if !self.auto_migrate {
            let database = url.to_string();
            return Err(SetupError::PendingMigrations { database, pending });
        }
        self.open_store(url)
    }

    /// Runs the migrations that have not been run and returns their versions, waiting for the
    /// database up to `startup_timeout`. Blocks.
    ///
    /// # Errors
    /// When the database refuses, cannot be reached in time, or cannot be migrated.
    pub fn migrate(&self, url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
        let (store, pending) = self.look(url)?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        self.run_migrations(&store)
    }

    /// The store, and the migrations that it lacks.
    fn look(&self, url: &DatabaseUrl) -> Result<(DieselStore, Vec<String>), StoreError> {
        self.reach(url, |url, options| {
            let store = DieselStore::open(url, options)?;
            let pending = store.pending_migrations()?;
            Ok((store, pending))
        })
    }

    fn run_migrations(&self, store: &DieselStore) -> Result<Vec<String>, StoreError> {
        let mut patience = Patience::new(self.startup_timeout);
        loop {
            match store.migrate() {
                Err(StoreError::Migration { database, reason }) => {
                    return Err(StoreError::Migration {
                        database,
                        reason: format!(
                            "{reason} (where it lacks the rights, run the migrations as a role \
                             that has them, with the command `migrate`, and set auto_migrate = \
                             false)"
                        ),
                    });
                }
                Err(error) if is_worth_waiting(&error) && patience.is_left(store.url(), &error) => {
                }
                result => return result,
            }
        }
    }

    /// Makes one try after the other, each on a thread of its own, since it may never end.
    fn reach<T: Send + 'static>(
        &self,
        url: &DatabaseUrl,
        open: fn(&DatabaseUrl, StoreOptions) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let options = StoreOptions {
            pool_size: self.pool_size,
            prepared_statements: self.prepared_statements,
            timeout: self.timeout,
            sqlite_synchronous: self.sqlite_synchronous,
            read_only: false,
        };
        let mut patience = Patience::new(self.startup_timeout);
        loop {
            let (to_open, options) = (url.clone(), options.clone());
            let limit = patience.left().max(self.timeout + LEAST_TRY);
            match bounded(url, limit, move || open(&to_open, options)) {
                Err(error) if is_worth_waiting(&error) && patience.is_left(url, &error) => {}
                result => return result,
            }
        }
    }
}

fn is_worth_waiting(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Connect {
            permanent: false,
            ..
        } | StoreError::Busy { .. }
    )
}

/// How long a start still waits for the database.
struct Patience {
    start: Instant,
    limit: Duration,
    reported: Option<Instant>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self {
            start: Instant::now(),
            limit,
            reported: None,
        }
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }

    /// Waits a moment and returns `true`, or returns `false` when there has been enough of it.
    fn is_left(&mut self, url: &DatabaseUrl, error: &StoreError) -> bool {
        if self.left().is_zero() {
            return false;
        }
        let is_quiet = |reported: Instant| reported.elapsed() < STARTUP_PROGRESS;
        if !self.reported.is_some_and(is_quiet) {
            self.reported = Some(Instant::now());
            let reason = match error {
                StoreError::Connect { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            tracing::warn!(
                "waiting for {url}, {}s of {}s: {reason}",
                self.start.elapsed().as_secs(),
                self.limit.as_secs()
            );
        }
        std::thread::sleep(STARTUP_RETRY);
        true
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
