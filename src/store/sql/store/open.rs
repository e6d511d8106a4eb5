//! Opening a [`DieselStore`], and its migrations.

use parking_lot::Mutex;

use crate::store::sql::connect::application::ApplicationPool;
use crate::store::sql::connect::connection::AnyConnection;
use crate::store::sql::connect::connections::{Apart, Connections};
use crate::store::sql::connect::prelude::{Prelude, run_with};
use crate::store::sql::connect::{self, Opening};
use crate::store::sql::engine::{Engine, KnownEngine};
use crate::store::sql::migrations::{self, Direction};
use crate::store::sql::run::contention::Contention;
use crate::store::{DatabaseUrl, DieselStore, StoreError, StoreOptions};

impl DieselStore {
    /// Connects once to check that the database can be used. Further connections are made on
    /// demand. Creates a missing SQLite file, readable only by its owner, and turns on its
    /// write-ahead log.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreOptions;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
    /// let url = "sqlite://sessions.db".parse()?;
    /// let store = DieselStore::open(&url, StoreOptions::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Connect`] if the database cannot be reached, opened or written.
    pub fn open(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        let engine = connect::open(url, &options, Opening::Serve)?;
        Ok(Self::on(url, options, engine))
    }

    /// Connects like [`open`](Self::open), but only to an existing database. Creates no SQLite file
    /// and does not change an existing one, because it may belong to another program.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreOptions;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
    /// let url = "sqlite://sessions.db".parse()?;
    /// let store = DieselStore::open_existing(&url, StoreOptions::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Connect`] if the database cannot be reached or opened.
    pub fn open_existing(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        let engine = connect::open(url, &options, Opening::Look)?;
        Ok(Self::on(url, options, engine))
    }

    /// Connects like [`open_existing`](Self::open_existing), but read-only: statements that would
    /// change data fail. With `prepared_statements` off, PostgreSQL does not enforce this.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreOptions;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
    /// let url = "sqlite://sessions.db".parse()?;
    /// let store = DieselStore::open_read_only(&url, StoreOptions::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Connect`] if the database cannot be reached or opened.
    pub fn open_read_only(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        let options = StoreOptions {
            read_only: true,
            ..options
        };
        Self::open_existing(url, options)
    }

    /// Uses the application's own pool and makes no connections of its own. Takes one of the pool's
    /// connections to check that the database can be used, and turns on an SQLite file's
    /// write-ahead log.
    ///
    /// At most `pool_size` of the pool's connections are used for sessions at a time. The
    /// application always finds its own settings on a connection. During a job of the store, SQLite
    /// connections have the store's settings. On PostgreSQL, each job except the loading of
    /// sessions is a transaction that sets its limits with `SET LOCAL`. Statements are prepared as
    /// configured for the connection.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreOptions;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = ConnectionManager::<PgConnection>::new("postgres://app@db.internal/app");
    /// let pool = Pool::builder().max_size(20).build(manager)?;
    /// let store = DieselStore::from_pool(pool.clone(), StoreOptions::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Connect`] or [`StoreError::Pool`] if the pool gives no connection.
    /// Returns `Connect` if an SQLite database is in memory or cannot be written.
    pub fn from_pool(
        pool: impl Into<ApplicationPool>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let (connections, url, engine) = connect::open_pool(pool.into(), &options)?;
        Ok(Self::of(url, connections, options, engine))
    }

    fn on(url: &DatabaseUrl, options: StoreOptions, engine: Engine) -> Self {
        let connections = Connections::own(url, &options);
        Self::of(url.clone(), connections, options, engine)
    }

    fn of(
        url: DatabaseUrl,
        connections: Connections,
        options: StoreOptions,
        engine: Engine,
    ) -> Self {
        Self {
            url,
            prelude: Prelude::of(connections.is_of_application(), &options),
            #[cfg(feature = "postgres")]
            distributed: Prelude::distributed(&options),
            connections,
            options,
            engine: KnownEngine::new(engine),
            writer: Mutex::new(()),
            contention: Contention::default(),
            looked_into_failure: Mutex::new(None),
        }
    }

    /// Returns the database's URL. It is displayed without the password. With the application's
    /// pool, it is only the database's name.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     println!("sessions are in {}", store.url());
    ///     Ok(())
    /// }
    /// ```
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Runs pending migrations and returns their versions. Several processes may do this at once,
    /// even on an empty database. If no migration is pending, this takes no lock and needs only the
    /// right to read `session_schema_migrations`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     for version in store.migrate()? {
    ///         println!("ran {version}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Migration`] if a migration fails.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        if self.pending_migrations()?.is_empty() {
            return Ok(Vec::new());
        }
        self.run_migrations(Direction::Up)
    }

    /// Reverts this library's migrations, which deletes all sessions and users, and returns their
    /// versions. An application's own migrations in the same database are kept.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<Vec<String>, StoreError> {
    ///     store.revert_migrations()
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Migration`] if a migration fails.
    pub fn revert_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.run_migrations(Direction::Down)
    }

    fn run_migrations(&self, direction: Direction) -> Result<Vec<String>, StoreError> {
        let mut connection = self.apart()?;
        migrations::run(&mut connection.lend(), &self.url, &self.options, direction)
    }

    /// Returns whether the database is an SQLite file that has tables but none of this library's
    /// migrations. Such a file belongs to another program, and the URL is probably wrong.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     if store.is_of_another_program()? {
    ///         println!("{} has tables of another program", store.url());
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Migration`] if the database cannot be queried.
    pub fn is_of_another_program(&self) -> Result<bool, StoreError> {
        // A PostgreSQL database is often shared with other applications.
        if matches!(self.url, DatabaseUrl::Postgres(_)) {
            return Ok(false);
        }
        self.look(migrations::is_of_another_program)
    }

    /// Returns the names of the pending migrations.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     let pending = store.pending_migrations()?;
    ///     println!("{} migrations are pending", pending.len());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Migration`] if the database cannot be queried.
    pub fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.look(migrations::pending)
    }

    /// Runs a query outside the library's own pool, in the schema of the sessions.
    fn look<T>(
        &self,
        ask: fn(&mut AnyConnection<'_>, &DatabaseUrl, &StoreOptions) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.apart()?;
        let ask =
            |connection: &mut AnyConnection<'_>| Ok(ask(connection, &self.url, &self.options)?);
        Ok(run_with(connection.lend(), self.prelude.as_ref(), ask).flatten()?)
    }

    /// Returns a connection outside the library's own pool.
    pub(in crate::store::sql) fn apart(&self) -> Result<Apart<'_>, StoreError> {
        self.connections.apart(self.options.timeout)
    }
}
