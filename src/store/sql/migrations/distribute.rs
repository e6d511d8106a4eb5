//! Distributes the tables over the nodes of a Citus cluster.
//!
//! Sessions are sharded by their handle. Users, their settings and statistics are small and are kept on every node,
//! so that a session can refer to its user wherever it is.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::history::History;
use super::lock::exclusively;
use crate::store::sql::connect::connection::AnyConnection;
use crate::store::sql::connect::failure::migrating;
use crate::store::sql::engine::Engine;
use crate::store::sql::error::SqlError;
use crate::store::{DieselStore, StoreError};

/// How a table is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In shards, by this column.
    By(&'static str),
    /// On every node.
    Everywhere,
}

/// The tables in the order in which they are distributed: a table is on every node before another
/// refers to it. Not every database has all of them.
const TABLES: [(&str, Place); 9] = [
    ("users", Place::Everywhere),
    ("user_settings", Place::Everywhere),
    ("sessions", Place::By("id")),
    ("session_events", Place::By("id")),
    ("session_user_locks", Place::By("user_id")),
    ("session_stats", Place::Everywhere),
    ("session_stats_users", Place::Everywhere),
    ("session_sweeps", Place::Everywhere),
    ("session_schema_migrations", Place::Everywhere),
];

/// Citus has no triggers on tables that are on every node. The library itself does what these do.
const TRIGGERS: [&str; 3] = [
    "users_disabled",
    "users_events_deleted",
    "users_events_moved",
];

/// A unique index must include the column of the shards. Lookup halves are random, so they need
/// none to be unique.
const NOT_UNIQUE: [&str; 3] = [
    "ALTER TABLE sessions DROP CONSTRAINT IF EXISTS sessions_session_id_key",
    // Of the portable migrations.
    "DROP INDEX IF EXISTS sessions_session_id",
    "CREATE INDEX IF NOT EXISTS sessions_session_id ON sessions (session_id)",
];

impl DieselStore {
    /// Distributes the tables over the nodes of a Citus cluster, and returns what was done, one
    /// sentence per table. Tables that are distributed already are left as they are, so an
    /// interrupted or extended distribution can be run again.
    ///
    /// Connect to the coordinator, as a role that may alter the tables. The tables must have been
    /// migrated. Requests that need them wait or are answered with 503 until it is done.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DieselStore;
    /// use rocket_diesel_sessions::store::StoreError;
    ///
    /// fn run(store: &DieselStore) -> Result<(), StoreError> {
    ///     for done in store.distribute()? {
    ///         println!("{done}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Migration`] if the database has no Citus, has pending migrations, or
    /// refuses a table, for example because of a foreign key or a trigger of another program.
    /// Nothing is changed then.
    pub fn distribute(&self) -> Result<Vec<String>, StoreError> {
        let refused = |reason: &str| Err(migrating(&self.url, reason));
        let pending = self.pending_migrations()?;
        if !pending.is_empty() {
            return refused("run the pending migrations before the distribution");
        }
        let mut apart = self.apart()?;
        let done = match &mut apart.lend() {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(_) => {
                return refused("only PostgreSQL with the extension Citus can distribute tables");
            }
            AnyConnection::Postgres(connection) => {
                let found = connection
                    .texts("SELECT extname::text AS text FROM pg_extension WHERE extname = 'citus'")
                    .map_err(SqlError::from)?;
                if found.is_empty() {
                    return refused(
                        "this database does not have the extension Citus: run CREATE EXTENSION \
                         citus in it, on the coordinator and on each worker, and add the workers \
                         with citus_add_node",
                    );
                }
                let schema = self.options.schema.as_ref();
                exclusively(connection, Engine::Citus, schema, |connection| {
                    Ok(distribute(connection)?)
                })
            }
        };
        let done = done.map_err(|error| migrating(&self.url, &StoreError::from(error)))?;
        self.engine
            .look_again(&mut apart.lend(), &self.options)
            .map_err(SqlError::from)?;
        Ok(done)
    }
}

fn distribute(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    let mut done = Vec::new();
    for (table, place) in TABLES {
        if !connection.has_own_table(table)? || is_distributed(connection, table)? {
            continue;
        }
        match table {
            "users" => {
                for trigger in TRIGGERS {
                    connection
                        .batch_execute(&format!("DROP TRIGGER IF EXISTS {trigger} ON users"))?;
                }
            }
            // One by one, as Citus wants it.
            "sessions" => {
                for statement in NOT_UNIQUE {
                    connection.batch_execute(statement)?;
                }
            }
            _ => {}
        }
        let (call, sentence) = match place {
            Place::By(column) => (
                format!("create_distributed_table('{table}', '{column}')"),
                format!("{table} is distributed by {column}"),
            ),
            Place::Everywhere => (
                format!("create_reference_table('{table}')"),
                format!("{table} is on every node"),
            ),
        };
        connection.batch_execute(&format!("SELECT {call}"))?;
        done.push(sentence);
    }
    Ok(done)
}

/// Returns whether a table is in shards or on every node. Citus also knows tables that stay on the
/// coordinator.
fn is_distributed(connection: &mut PgConnection, table: &str) -> QueryResult<bool> {
    let found = connection.texts(&format!(
        "SELECT logicalrelid::text AS text FROM pg_catalog.pg_dist_partition \
         WHERE logicalrelid = to_regclass('{table}') AND (partmethod <> 'n' OR repmodel = 't')"
    ))?;
    Ok(!found.is_empty())
}
