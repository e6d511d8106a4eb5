//! From the settings to a store that is ready: waits for the database and runs migrations.

use std::fmt;
use std::time::{Duration, Instant};

use super::SessionConfig;
use crate::session::error::SetupError;
use crate::store::{ApplicationPool, DatabaseUrl, DieselStore, StoreError, StoreOptions, bounded};

/// The pause between two attempts to reach the database.
const STARTUP_RETRY: Duration = Duration::from_millis(250);
/// The time between two log lines about that wait.
const STARTUP_PROGRESS: Duration = Duration::from_secs(3);

/// The minimum time of an attempt to reach the database, in addition to `timeout`.
const LEAST_TRY: Duration = Duration::from_secs(2);

impl SessionConfig {
    /// Connects to the database and runs pending migrations. Waits for the database for up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::SetupError> {
    /// let config = SessionConfig::from_figment(&rocket::Config::figment())?;
    /// let store = config.open_store(&config.database_url()?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the database refuses the connection, cannot be reached in time, or cannot be
    /// migrated. With `auto_migrate` off, fails if migrations are pending.
    pub fn open_store(&self, url: &DatabaseUrl) -> Result<DieselStore, SetupError> {
        let (store, pending) = self.look(url)?;
        self.migrated(store, pending)
    }

    /// Uses the application's own pool instead of making connections, and runs pending migrations.
    /// Waits for a connection for up to `startup_timeout`. Blocks.
    ///
    /// At most `pool_size` of the pool's connections are used at a time; see
    /// [`DieselStore::from_pool`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = ConnectionManager::<PgConnection>::new("postgres://app@db.internal/app");
    /// let pool = Pool::builder().max_size(20).build(manager)?;
    /// let store = SessionConfig::default().open_pool(pool.clone())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the pool has fewer than `workers` + 6 connections, and as
    /// [`open_store`](Self::open_store) does.
    pub fn open_pool(&self, pool: impl Into<ApplicationPool>) -> Result<DieselStore, SetupError> {
        let pool = pool.into();
        self.within(&pool)?;
        let (store, pending) = self.wait_for(&"the application's pool", move |options| {
            let store = DieselStore::from_pool(pool.clone(), options)?;
            let pending = store.pending_migrations()?;
            Ok((store, pending))
        })?;
        self.migrated(store, pending)
    }

    /// Runs pending migrations, or refuses the store if `auto_migrate` is off.
    fn migrated(
        &self,
        store: DieselStore,
        pending: Vec<String>,
    ) -> Result<DieselStore, SetupError> {
        if pending.is_empty() {
            return Ok(store);
        }
        if !self.auto_migrate {
            let database = store.url().to_string();
            return Err(SetupError::PendingMigrations { database, pending });
        }
        for version in self.run_migrations(&store)? {
            tracing::info!("ran migration {version} of rocket_diesel_sessions");
        }
        Ok(store)
    }

    /// Connects to the database without changing its schema. Waits for the database for up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
    /// let config = SessionConfig::default();
    /// let store = config.connect(&config.database_url()?)?;
    /// println!("{:?} are pending", store.pending_migrations()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the database refuses the connection or cannot be reached in time.
    pub fn connect(&self, url: &DatabaseUrl) -> Result<DieselStore, StoreError> {
        self.reach(url, DieselStore::open)
    }

    /// Connects read-only to an existing database that has no pending migrations; see
    /// [`DieselStore::open_read_only`]. Waits for the database for up to `startup_timeout`. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::SetupError> {
    /// let config = SessionConfig::default();
    /// let store = config.open_to_read(&config.database_url()?)?;
    /// println!("{} sessions have expired", store.count_expired(chrono::Utc::now())?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the database refuses the connection, cannot be reached in time, or has pending
    /// migrations.
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

    /// Connects like [`open_store`](Self::open_store), for a command that changes data while the
    /// server may be running. A database without pending migrations is left unchanged. An SQLite
    /// file that contains only tables of another program is also left unchanged, because the URL is
    /// probably wrong. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionConfig;
    /// use rocket_diesel_sessions::admin::StoreAdmin;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::SetupError> {
    /// let config = SessionConfig::default();
    /// let store = config.open_to_write(&config.database_url()?)?;
    /// let report = StoreAdmin::new(&store).sweep(chrono::Utc::now(), |_| {})?;
    /// println!("{} deleted", report.deleted);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails as `open_store` does, and if the file belongs to another program.
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

    /// Runs pending migrations and returns their versions. Waits for the database for up to
    /// `startup_timeout`. Blocks.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
    /// let config = SessionConfig::default();
    /// for version in config.migrate(&config.database_url()?)? {
    ///     println!("ran {version}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the database refuses the connection, cannot be reached in time, or cannot be
    /// migrated.
    pub fn migrate(&self, url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
        let (store, pending) = self.look(url)?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        self.run_migrations(&store)
    }

    /// Opens the store and returns its pending migrations.
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
                            "{reason} (if the role lacks the rights, run the command `migrate` as a \
                             role that has them and set auto_migrate = false)"
                        ),
                    });
                }
                Err(error) if is_worth_waiting(&error) && patience.is_left(store.url(), &error) => {
                }
                result => return result,
            }
        }
    }

    /// Repeats attempts until one succeeds or the time is over. Each runs on its own thread,
    /// because it may never return.
    fn reach<T: Send + 'static>(
        &self,
        url: &DatabaseUrl,
        open: fn(&DatabaseUrl, StoreOptions) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let to_open = url.clone();
        self.wait_for(url, move |options| open(&to_open, options))
    }

    fn wait_for<T: Send + 'static>(
        &self,
        database: &dyn fmt::Display,
        open: impl Fn(StoreOptions) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let options = StoreOptions {
            pool_size: self.pool_size,
            prepared_statements: self.prepared_statements,
            timeout: self.timeout,
            sqlite_synchronous: self.sqlite_synchronous,
            read_only: false,
            users: self.users,
            schema: self.schema.clone(),
            statistics: true,
            dialect: self.dialect,
            password: self.password.clone(),
        };
        let mut patience = Patience::new(self.startup_timeout);
        loop {
            let (open, options) = (open.clone(), options.clone());
            let limit = patience.left().max(self.timeout + LEAST_TRY);
            match bounded(database, self.password.as_ref(), limit, move || {
                open(options)
            }) {
                Err(error) if is_worth_waiting(&error) && patience.is_left(database, &error) => {}
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
            | StoreError::Pool { .. }
    )
}

/// Keeps track of how long the start still waits for the database.
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

    /// Pauses and returns `true`, or returns `false` if the time is over.
    fn is_left(&mut self, database: &dyn fmt::Display, error: &StoreError) -> bool {
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
                "waiting for {database}, {}s of {}s: {reason}",
                self.start.elapsed().as_secs(),
                self.limit.as_secs()
            );
        }
        std::thread::sleep(STARTUP_RETRY);
        true
    }
}
