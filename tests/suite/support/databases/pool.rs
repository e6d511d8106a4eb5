//! A pool of connections as an application builds it.

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::{
    Builder, ConnectionManager, CustomizeConnection, Error, ManageConnection, Pool,
};
use diesel::sql_types::Text;
use rocket_diesel_sessions::store::ApplicationPool;

use super::{Database, Kind};

/// The settings of the application's connections. None of the values is the library's.
const SQLITE: &str =
    "PRAGMA busy_timeout = 4321; PRAGMA foreign_keys = OFF; PRAGMA synchronous = NORMAL;";
const POSTGRES: &str = "SET statement_timeout = '61s'; SET lock_timeout = '59s'; \
                        SET application_name = 'shop'; SET synchronous_commit = off";

#[derive(Clone)]
pub(crate) enum AppPool {
    Sqlite(Pool<ConnectionManager<SqliteConnection>>),
    Postgres(Pool<ConnectionManager<PgConnection>>),
}

/// Sets the application's settings.
#[derive(Debug)]
struct Customizer {
    is_pooled_again: bool,
}

impl CustomizeConnection<SqliteConnection, Error> for Customizer {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        connection.batch_execute(SQLITE).map_err(Error::QueryError)
    }
}

impl CustomizeConnection<PgConnection, Error> for Customizer {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), Error> {
        if self.is_pooled_again {
            connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            return Ok(());
        }
        connection
            .batch_execute(POSTGRES)
            .map_err(Error::QueryError)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Returns the settings of a connection.
trait Settings {
    fn settings(&mut self) -> String;
}

impl Settings for SqliteConnection {
    fn settings(&mut self) -> String {
        let query = "SELECT timeout || ' ' || foreign_keys || ' ' || synchronous || ' ' || \
                     query_only AS text FROM pragma_busy_timeout, pragma_foreign_keys, \
                     pragma_synchronous, pragma_query_only";
        let row: Row = diesel::sql_query(query).get_result(self).unwrap();
        row.text
    }
}

impl Settings for PgConnection {
    fn settings(&mut self) -> String {
        let query = "SELECT coalesce(string_agg(name || '=' || setting, ' ' ORDER BY name), '') \
                     AS text FROM pg_settings WHERE source = 'session'";
        let row: Row = diesel::sql_query(query).get_result(self).unwrap();
        row.text
    }
}

fn builder<M: ManageConnection>(size: u32) -> Builder<M> {
    Pool::builder().max_size(size).test_on_check_out(false)
}

impl AppPool {
    /// Returns a pool of up to `size` connections that does not test them before lending them.
    pub(crate) fn new(database: &Database, size: u32) -> Self {
        let customizer = Box::new(Customizer {
            is_pooled_again: database.direct_url() != database.raw_url(),
        });
        match database.kind() {
            Kind::Sqlite => {
                let path = database.raw_url().strip_prefix("sqlite://").unwrap();
                let pool = builder(size).connection_customizer(customizer);
                Self::Sqlite(pool.build(ConnectionManager::new(path)).unwrap())
            }
            Kind::Postgres => {
                let pool = builder(size).connection_customizer(customizer);
                Self::Postgres(
                    pool.build(ConnectionManager::new(database.raw_url()))
                        .unwrap(),
                )
            }
        }
    }

    pub(crate) fn lent(&self) -> ApplicationPool {
        match self.clone() {
            Self::Sqlite(pool) => pool.into(),
            Self::Postgres(pool) => pool.into(),
        }
    }

    /// Returns the settings of each of the pool's idle connections.
    pub(crate) fn settings(&self) -> Vec<String> {
        match self {
            Self::Sqlite(pool) => {
                let mut taken: Vec<_> = std::iter::from_fn(|| pool.try_get()).collect();
                taken
                    .iter_mut()
                    .map(|connection| connection.settings())
                    .collect()
            }
            Self::Postgres(pool) => {
                let mut taken: Vec<_> = std::iter::from_fn(|| pool.try_get()).collect();
                taken
                    .iter_mut()
                    .map(|connection| connection.settings())
                    .collect()
            }
        }
    }

    /// Returns the number of connections in use.
    pub(crate) fn in_use(&self) -> u32 {
        let state = match self {
            Self::Sqlite(pool) => pool.state(),
            Self::Postgres(pool) => pool.state(),
        };
        state.connections - state.idle_connections
    }
}
