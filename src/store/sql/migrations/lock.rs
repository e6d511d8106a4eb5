//! The transaction in which one process at a time changes the schema.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::BigInt;

use super::history::History;
use crate::store::SchemaName;
use crate::store::sql::engine::Engine;
use crate::store::sql::error::SqlError;

/// The key of this library's advisory lock in a PostgreSQL database ("sessions").
const KEY: i64 = 0x7365_7373_696f_6e73;

/// The row that is written to instead, on engines whose advisory locks do nothing or do not exist.
const MAKE_ROW: &str = "CREATE TABLE IF NOT EXISTS session_migration_lock \
                        (id BIGINT NOT NULL PRIMARY KEY, locks BIGINT NOT NULL)";
const ADD_ROW: &str =
    "INSERT INTO session_migration_lock (id, locks) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";
const LOCK_ROW: &str = "UPDATE session_migration_lock SET locks = locks + 1 WHERE id = 1";

/// Maximum number of times that a transaction is run again because another process was faster.
const RETRIES: u32 = 10;

/// Runs `job` in a transaction of which one process runs one at a time.
pub(in crate::store) fn exclusively<T>(
    connection: &mut PgConnection,
    engine: Engine,
    schema: Option<&SchemaName>,
    mut job: impl FnMut(&mut PgConnection) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    if engine != Engine::Portable {
        return in_transaction(connection, |connection| {
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<BigInt, _>(KEY)
                .execute(connection)?;
            enter(connection, schema)?;
            job(connection)
        });
    }
    let mut tries = 0;
    loop {
        let result = make_row(connection, schema)
            .map_err(SqlError::from)
            .and_then(|()| {
                in_transaction(connection, |connection| {
                    enter(connection, schema)?;
                    connection.batch_execute(LOCK_ROW)?;
                    job(connection)
                })
            });
        match result {
            Err(SqlError::Diesel(DieselError::DatabaseError(
                DatabaseErrorKind::SerializationFailure,
                _,
            ))) if tries < RETRIES => tries += 1,
            result => return result,
        }
    }
}

/// Makes the row that is locked. Two processes that make the table at once may both find it
/// missing, and one of them then fails.
fn make_row(connection: &mut PgConnection, schema: Option<&SchemaName>) -> QueryResult<()> {
    let make = |connection: &mut PgConnection| {
        connection.transaction(|connection| {
            enter(connection, schema)?;
            connection.batch_execute(MAKE_ROW)
        })
    };
    make(connection).or_else(|_| make(connection))?;
    connection.transaction(|connection| {
        enter(connection, schema)?;
        connection.batch_execute(ADD_ROW)
    })
}

/// Uses the schema for the rest of the transaction, and creates it if it is missing. An existing
/// schema needs no rights for this.
fn enter(connection: &mut PgConnection, schema: Option<&SchemaName>) -> QueryResult<()> {
    let Some(schema) = schema else {
        return Ok(());
    };
    let found = connection.texts(&format!(
        "SELECT nspname::text AS text FROM pg_namespace WHERE nspname = '{schema}'"
    ))?;
    if found.is_empty() {
        connection.batch_execute(&format!("CREATE SCHEMA \"{schema}\""))?;
    }
    connection.batch_execute(&schema.for_transaction())
}

/// One connection and one transaction, so that a small pool of PgBouncer suffices. A process that
/// has waited for the lock must see what was done in the meantime, hence READ COMMITTED.
fn in_transaction<T>(
    connection: &mut PgConnection,
    mut job: impl FnMut(&mut PgConnection) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    connection
        .build_transaction()
        .read_committed()
        .run(|connection| {
            // No limits, because waiting for the lock and changing the schema may take long.
            connection
                .batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")?;
            job(connection)
        })
}
