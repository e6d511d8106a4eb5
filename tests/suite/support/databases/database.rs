//! A separate database for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::SerializationFailure;
use diesel::result::Error::DatabaseError;
use diesel::sql_types::{BigInt, Integer, Text};
use rocket_diesel_sessions::store::{Dialect, StoreOptions};
use rocket_diesel_sessions::{DatabaseUrl, DieselStore};
use tempfile::TempDir;

use super::cluster;
use crate::support::altered;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database, removed with its directory at the end. PostgreSQL databases are removed with
/// their cluster.
pub(crate) struct Database {
    kind: Kind,
    /// The URL for the tests' own statements.
    direct: String,
    /// The URL for stores and servers. With `TEST_PGBOUNCER=1`, it leads to the same database
    /// through a PgBouncer.
    url: String,
    folder: TempDir,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

impl Database {
    /// Creates a database. Returns `None` if PostgreSQL is to be skipped. With `TEST_CITUS=1`, a
    /// PostgreSQL database has the tables, distributed over a cluster.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}/test.db", folder.path().display());
                Some(Self {
                    kind,
                    direct: url.clone(),
                    url,
                    folder,
                })
            }
            Kind::Postgres if cluster::citus().is_some() => {
                let database = cluster::citus()?.database();
                database.store().distribute().unwrap();
                Some(database)
            }
            Kind::Postgres => {
                let database = Self::on(cluster::url()?);
                Some(match cluster::pooler() {
                    Some(pooler) => database.through(pooler),
                    None if is_portable() => database.set("dialect = \"portable\""),
                    None => database,
                })
            }
        }
    }

    /// Creates a database on the PostgreSQL server of this URL.
    pub(crate) fn on(server: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::establish(&format!("{server}/postgres")).unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        Self::named(server, &name)
    }

    /// Returns an existing database.
    pub(crate) fn named(server: &str, name: &str) -> Self {
        let url = format!("{server}/{name}");
        Self {
            kind: Kind::Postgres,
            direct: url.clone(),
            url,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns the same database through the PgBouncer of this URL. Servers that run in the
    /// database's directory find the necessary setting there.
    pub(crate) fn through(mut self, pooler: &str) -> Self {
        self.url = format!("{pooler}/{}", self.name());
        self.set("prepared_statements = false")
    }

    /// Gives servers that run in the database's directory a setting.
    fn set(self, setting: &str) -> Self {
        let settings = format!("[default.sessions]\n{setting}\n");
        std::fs::write(self.folder.path().join("Rocket.toml"), settings).unwrap();
        self
    }

    /// Returns the same database through the server of this URL.
    pub(crate) fn reached_by(mut self, server: &str) -> Self {
        self.url = format!("{server}/{}", self.name());
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the database's name on its PostgreSQL server.
    pub(crate) fn name(&self) -> &str {
        self.direct.rsplit_once('/').unwrap().1
    }

    /// Runs SQL on the PostgreSQL server, outside this database.
    pub(crate) fn execute_on_server(&self, sql: &str) {
        let server = self.direct.rsplit_once('/').unwrap().0;
        let mut admin = PgConnection::establish(&format!("{server}/postgres")).unwrap();
        admin.batch_execute(sql).unwrap();
    }

    pub(crate) fn url(&self) -> DatabaseUrl {
        self.url.parse().unwrap()
    }

    pub(crate) fn raw_url(&self) -> &str {
        &self.url
    }

    /// Returns the URL that bypasses PgBouncer.
    pub(crate) fn direct_url(&self) -> &str {
        &self.direct
    }

    /// Returns a directory for users of the database.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns a store whose schema is migrated.
    pub(crate) fn store(&self) -> Arc<DieselStore> {
        let store = self.bare_store();
        store.migrate().unwrap();
        Arc::new(store)
    }

    /// Returns a store on the database as it is.
    pub(crate) fn bare_store(&self) -> DieselStore {
        DieselStore::open(&self.url(), self.options()).unwrap()
    }

    /// Returns options for a store on this database.
    pub(crate) fn options(&self) -> StoreOptions {
        altered(StoreOptions::default(), |options| {
            options.prepared_statements = self.direct == self.url;
            if is_portable() {
                options.dialect = Dialect::Portable;
            }
        })
    }

    /// Runs SQL on its own connection.
    pub(crate) fn execute(&self, sql: &str) {
        until_serialized(|| match self.kind {
            Kind::Sqlite => self.sqlite().batch_execute(sql),
            Kind::Postgres => self.postgres().batch_execute(sql),
        });
    }

    /// Returns a separate connection, to hold a transaction open.
    pub(crate) fn connection(&self) -> Box<dyn Sql> {
        match self.kind {
            Kind::Sqlite => Box::new(self.sqlite()),
            Kind::Postgres => Box::new(self.postgres()),
        }
    }

    fn postgres(&self) -> PgConnection {
        PgConnection::establish(&self.direct).unwrap()
    }

    /// Opens the file. Waits for others, because the last connection that closes the file locks it
    /// for a moment.
    fn sqlite(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::establish(&self.url).unwrap();
        connection
            .batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;")
            .unwrap();
        connection
    }

    /// Returns the number in the column `n` of a query's result.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let number: Number = until_serialized(|| match self.kind {
            Kind::Sqlite => diesel::sql_query(sql).get_result(&mut self.sqlite()),
            Kind::Postgres => diesel::sql_query(sql).get_result(&mut self.postgres()),
        });
        number.n
    }

    /// Returns how this SQLite file would run a statement.
    pub(crate) fn plan(&self, sql: &str) -> String {
        let explain = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps: Vec<Step> = explain.load(&mut self.sqlite()).unwrap();
        let steps: Vec<String> = steps.into_iter().map(|step| step.detail).collect();
        steps.join("; ")
    }

    /// Returns the start time, in microseconds, of the newest statement that waits for a lock in
    /// this PostgreSQL database, or `None` if none waits.
    pub(crate) fn lock_wait(&self) -> Option<i64> {
        let began = self.number(
            "SELECT coalesce(max(extract(epoch FROM query_start) * 1000000), 0)::int8 AS n \
             FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        (began > 0).then_some(began)
    }

    /// Returns the processes of this PostgreSQL database's connections, except our own.
    pub(crate) fn backends(&self) -> Vec<i32> {
        let mut connection = self.postgres();
        let found: Vec<Backend> = diesel::sql_query(
            "SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .load(&mut connection)
        .unwrap();
        found.into_iter().map(|backend| backend.pid).collect()
    }

    /// Adds users whose id, name and password hash are the same text.
    pub(crate) fn add_users(&self, names: &[&str]) {
        for name in names {
            self.execute(&format!(
                "INSERT INTO users (id, username, password_hash, created_at, updated_at) VALUES \
                 ('{name}', '{name}', '{name}', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
            ));
        }
    }

    /// Returns the number of rows in `sessions`.
    pub(crate) fn sessions(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM sessions")
    }
}

/// Runs a statement, again while it loses to another serializable transaction.
fn until_serialized<T>(mut run: impl FnMut() -> QueryResult<T>) -> T {
    loop {
        match run() {
            Err(DatabaseError(SerializationFailure, _)) => {}
            result => return result.unwrap(),
        }
    }
}

/// Returns whether stores and servers use the statements that every engine takes.
fn is_portable() -> bool {
    std::env::var("TEST_DIALECT").is_ok_and(|dialect| dialect == "portable")
}

/// A connection that runs SQL texts.
pub(crate) trait Sql: Send {
    fn run(&mut self, sql: &str);
}

impl<C: SimpleConnection + Send> Sql for C {
    fn run(&mut self, sql: &str) {
        self.batch_execute(sql).unwrap();
    }
}
