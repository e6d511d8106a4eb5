//! What kind of database has the sessions, and so which statements and migrations it takes.
//!
//! It is asked when the store is opened, and again after an unknown error, because a table may be
//! distributed while servers run.

use diesel::QueryResult;
#[cfg(feature = "postgres")]
use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::{BigInt, Nullable, Text};
use parking_lot::RwLock;

use super::connect::connection::AnyConnection;
#[cfg(feature = "postgres")]
use crate::store::{Dialect, SchemaName};
use crate::store::{StoreError, StoreOptions};

/// Maximum number of rows that a statement for every engine changes. Engines over several nodes
/// limit what one transaction may write.
#[cfg(feature = "postgres")]
pub(in crate::store) const PORTABLE_BATCH: u32 = 1000;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Engine {
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// PostgreSQL, or a service or a fork that is one.
    #[cfg(feature = "postgres")]
    Postgres,
    /// PostgreSQL with the extension Citus and distributed sessions.
    #[cfg(feature = "postgres")]
    Citus,
    /// Another program that speaks PostgreSQL's language and lacks parts of it.
    #[cfg(feature = "postgres")]
    Portable,
}

impl Engine {
    /// Returns the maximum number of rows that one statement should change.
    pub(in crate::store) fn largest_batch(self) -> u32 {
        match self {
            #[cfg(feature = "postgres")]
            Self::Citus | Self::Portable => PORTABLE_BATCH,
            _ => u32::MAX,
        }
    }

    /// Returns whether other transactions can lock single rows.
    pub(in crate::store) fn has_row_locks(self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => false,
            #[cfg(feature = "postgres")]
            _ => true,
        }
    }

    /// Returns what an error means here. On several nodes, one that is not recognized may be a node's,
    /// and then has nothing to do with the row.
    pub(in crate::store) fn explain(self, error: StoreError) -> StoreError {
        match (self, error) {
            #[cfg(feature = "postgres")]
            (Self::Citus, StoreError::Query(cause) | StoreError::Server(cause)) => {
                StoreError::Partial(cause)
            }
            (_, error) => error,
        }
    }

    /// Returns whether a batch of touches may wait for a locked row.
    pub(in crate::store) fn waits_to_touch(self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Citus | Self::Portable => true,
            _ => false,
        }
    }
}

/// The engine of a store, as last seen.
pub(in crate::store) struct KnownEngine(RwLock<Engine>);

impl KnownEngine {
    pub(in crate::store) fn new(engine: Engine) -> Self {
        Self(RwLock::new(engine))
    }

    pub(in crate::store) fn get(&self) -> Engine {
        *self.0.read()
    }

    /// Asks the database again. Returns whether it has become another.
    pub(in crate::store) fn look_again(
        &self,
        connection: &mut AnyConnection<'_>,
        options: &StoreOptions,
    ) -> QueryResult<bool> {
        let seen = detect(connection, options)?;
        let known = std::mem::replace(&mut *self.0.write(), seen);
        Ok(seen != known)
    }
}

/// Asks a database what it is, unless the options say so.
#[cfg_attr(
    not(feature = "postgres"),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "a file is not asked"
    )
)]
pub(in crate::store) fn detect(
    connection: &mut AnyConnection<'_>,
    options: &StoreOptions,
) -> QueryResult<Engine> {
    match connection {
        #[cfg(feature = "sqlite")]
        AnyConnection::Sqlite(_) => Ok(Engine::Sqlite),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(connection) => match options.dialect {
            Dialect::Postgres => Ok(Engine::Postgres),
            Dialect::Portable => Ok(Engine::Portable),
            Dialect::Auto => ask(connection, options.schema.as_ref()),
        },
    }
}

/// What `version()` of other programs contains: CockroachDB and YugabyteDB.
#[cfg(feature = "postgres")]
const OTHERS: [&str; 2] = ["CockroachDB", "-YB-"];

#[cfg(feature = "postgres")]
#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    version: String,
    /// A catalog that Citus has.
    #[diesel(sql_type = Nullable<Text>)]
    citus: Option<String>,
}

#[cfg(feature = "postgres")]
#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[cfg(feature = "postgres")]
fn ask(connection: &mut PgConnection, schema: Option<&SchemaName>) -> QueryResult<Engine> {
    let answer: Answer = diesel::sql_query(
        "SELECT version() AS version, to_regclass('pg_catalog.pg_dist_partition')::text AS citus",
    )
    .get_result(connection)?;
    if OTHERS.iter().any(|name| answer.version.contains(name)) {
        return Ok(Engine::Portable);
    }
    if answer.citus.is_some() && is_distributed(connection, schema)? {
        return Ok(Engine::Citus);
    }
    Ok(Engine::Postgres)
}

/// Returns whether Citus has distributed the table `sessions`.
#[cfg(feature = "postgres")]
fn is_distributed(connection: &mut PgConnection, schema: Option<&SchemaName>) -> QueryResult<bool> {
    let table = match schema {
        Some(schema) => format!("\"{schema}\".sessions"),
        None => "sessions".to_owned(),
    };
    let distributed: Number = diesel::sql_query(
        "SELECT count(*) AS number FROM pg_catalog.pg_dist_partition \
         WHERE logicalrelid = to_regclass($1) AND partmethod = 'h'",
    )
    .bind::<Text, _>(table)
    .get_result(connection)?;
    Ok(distributed.number > 0)
}
