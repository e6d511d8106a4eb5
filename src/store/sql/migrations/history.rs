//! The record of applied migrations: the table `session_schema_migrations`.
//!
//! Diesel's own table, `__diesel_schema_migrations`, belongs to the application. If this library's
//! versions were in it, `diesel migration revert` and `redo` would fail for the application, and an
//! equal version would hide one of the two. An installation is taken over if its migrations are in
//! that table because an earlier version of this library, or Diesel's command line, ran them.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

/// The version of the first migration.
pub(in crate::store::sql) const FIRST: &str = "20261124000000";

/// The format of the recorded times.
const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// A connection that can be asked which migrations have been applied.
pub(in crate::store::sql) trait History: Connection {
    /// Returns the column `text` of each row of a query.
    fn texts(&mut self, query: &str) -> QueryResult<Vec<String>>;

    /// Returns whether a table of this name exists.
    fn has_table(&mut self, name: &str) -> QueryResult<bool>;

    /// Returns whether a table of this name exists where new tables are created: on PostgreSQL in
    /// the first schema of the search path, not in a later one.
    fn has_own_table(&mut self, name: &str) -> QueryResult<bool>;

    /// Returns whether the table `sessions` has this column.
    fn has_column(&mut self, column: &str) -> QueryResult<bool>;
}

/// An applied migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::sql) struct Applied {
    pub(in crate::store::sql) version: String,
    /// The migration's name. Empty if only Diesel's table, which has no names, lists it.
    pub(in crate::store::sql) name: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

macro_rules! texts {
    () => {
        fn texts(&mut self, query: &str) -> QueryResult<Vec<String>> {
            let rows: Vec<Row> = diesel::sql_query(query).load(self)?;
            Ok(rows.into_iter().map(|row| row.text).collect())
        }
    };
}

#[cfg(feature = "sqlite")]
impl History for SqliteConnection {
    texts!();

    fn has_table(&mut self, name: &str) -> QueryResult<bool> {
        let found = self.texts(&format!(
            "SELECT name AS text FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
        ))?;
        Ok(!found.is_empty())
    }

    fn has_own_table(&mut self, name: &str) -> QueryResult<bool> {
        self.has_table(name)
    }

    fn has_column(&mut self, column: &str) -> QueryResult<bool> {
        let found = self.texts(&format!(
            "SELECT name AS text FROM pragma_table_info('sessions') WHERE name = '{column}'"
        ))?;
        Ok(!found.is_empty())
    }
}

#[cfg(feature = "postgres")]
impl History for PgConnection {
    texts!();

    fn has_table(&mut self, name: &str) -> QueryResult<bool> {
        let found = self.texts(&format!(
            "SELECT 'exists' AS text WHERE to_regclass('{name}') IS NOT NULL"
        ))?;
        Ok(!found.is_empty())
    }

    fn has_own_table(&mut self, name: &str) -> QueryResult<bool> {
        let found = self.texts(&format!(
            "SELECT relname::text AS text FROM pg_class \
             WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) \
             AND relname = '{name}'"
        ))?;
        Ok(!found.is_empty())
    }

    fn has_column(&mut self, column: &str) -> QueryResult<bool> {
        let found = self.texts(&format!(
            "SELECT attname::text AS text FROM pg_attribute \
             WHERE attrelid = to_regclass('sessions') AND attname = '{column}' \
             AND NOT attisdropped"
        ))?;
        Ok(!found.is_empty())
    }
}

/// Returns the applied migrations of this library. Only reads.
pub(in crate::store::sql) fn applied(connection: &mut impl History) -> QueryResult<Vec<Applied>> {
    let mut applied = recorded(connection)?;
    // An installation that the library itself created has nothing in Diesel's table. A version
    // there that equals one of the library's belongs to the application.
    if applied.is_empty() || is_taken_over(connection)? {
        let known: Vec<String> = applied.iter().map(|row| row.version.clone()).collect();
        let of_diesel = of_diesel(connection)?;
        applied.extend(
            of_diesel
                .into_iter()
                .filter(|version| !known.contains(version))
                .map(|version| Applied {
                    version,
                    name: String::new(),
                }),
        );
    }
    Ok(applied)
}

fn recorded(connection: &mut impl History) -> QueryResult<Vec<Applied>> {
    if !connection.has_table("session_schema_migrations")? {
        return Ok(Vec::new());
    }
    let rows =
        connection.texts("SELECT version || ' ' || name AS text FROM session_schema_migrations")?;
    let split = |row: String| {
        let (version, name) = row.split_once(' ').unwrap_or((&row, ""));
        Applied {
            version: version.to_owned(),
            name: name.to_owned(),
        }
    };
    Ok(rows.into_iter().map(split).collect())
}

fn is_taken_over(connection: &mut impl History) -> QueryResult<bool> {
    let taken = connection
        .texts("SELECT version AS text FROM session_schema_migrations WHERE taken_over LIMIT 1")?;
    Ok(!taken.is_empty())
}

/// Returns the versions in Diesel's table if it was used to create this library's tables.
fn of_diesel(connection: &mut impl History) -> QueryResult<Vec<String>> {
    if !connection.has_table("__diesel_schema_migrations")?
        || !connection.has_column("token_hash")?
    {
        return Ok(Vec::new());
    }
    let versions = connection.texts("SELECT version AS text FROM __diesel_schema_migrations")?;
    let is_ours = versions.iter().any(|version| version == FIRST);
    Ok(if is_ours { versions } else { Vec::new() })
}

/// Creates the table if it does not exist.
pub(in crate::store::sql) fn create(connection: &mut impl History) -> QueryResult<()> {
    connection.batch_execute(
        "CREATE TABLE IF NOT EXISTS session_schema_migrations (
            version    TEXT NOT NULL PRIMARY KEY,
            name       TEXT NOT NULL,
            run_on     TIMESTAMP NOT NULL,
            taken_over BOOLEAN NOT NULL
        )",
    )
}

/// Records that a migration was run, either now or earlier with Diesel's table.
pub(in crate::store::sql) fn record(
    connection: &mut impl History,
    version: &str,
    name: &str,
    now: DateTime<Utc>,
    taken_over: bool,
) -> QueryResult<()> {
    connection.batch_execute(&format!(
        "INSERT INTO session_schema_migrations (version, name, run_on, taken_over) \
         VALUES ('{version}', '{name}', '{}', {taken_over})",
        now.format(TIME_FORMAT)
    ))
}

/// Removes a reverted migration, also from Diesel's table if the installation was taken over.
pub(in crate::store::sql) fn forget(
    connection: &mut impl History,
    version: &str,
) -> QueryResult<()> {
    let is_of_diesel = of_diesel(connection)?.iter().any(|other| other == version);
    if is_of_diesel && is_taken_over(connection)? {
        connection.batch_execute(&format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"
        ))?;
    }
    connection.batch_execute(&format!(
        "DELETE FROM session_schema_migrations WHERE version = '{version}'"
    ))
}

/// Returns when this version took the installation over from an earlier one, or `None` if it
/// created the tables itself. If Diesel's command line ran the migrations, the time was not
/// recorded, and the current time is used.
pub(in crate::store::sql) fn taken_over_at(
    connection: &mut impl History,
    now: DateTime<Utc>,
) -> QueryResult<Option<DateTime<Utc>>> {
    if recorded(connection)?.is_empty() {
        let is_earlier = !of_diesel(connection)?.is_empty();
        return Ok(is_earlier.then_some(now));
    }
    let times = connection.texts(
        "SELECT CAST(run_on AS TEXT) AS text FROM session_schema_migrations \
         WHERE taken_over ORDER BY run_on LIMIT 1",
    )?;
    let time = |text: &String| NaiveDateTime::parse_from_str(text, TIME_FORMAT).ok();
    Ok(times.first().and_then(time).map(|time| time.and_utc()))
}
