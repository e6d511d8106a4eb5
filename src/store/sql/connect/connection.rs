//! One connection type for both databases.
//!
//! Statements that read the same on both go through [`AnyConnection`]; hot or database-specific
//! ones match on it and run on the inner connection.

use diesel::prelude::*;

pub(in crate::store) use any::AnyConnection;

/// The derive makes a module and items of fixed names, which stay private here.
mod any {
    /// A connection to SQLite or PostgreSQL.
    ///
    /// Its derived `establish` tries one database after the other and hides the errors; the pool
    /// never calls it and picks the variant by URL scheme.
    #[derive(diesel::MultiConnection)]
    #[allow(missing_debug_implementations)]
    pub(in crate::store) enum AnyConnection {
        #[cfg(feature = "sqlite")]
        Sqlite(diesel::SqliteConnection),
        #[cfg(feature = "postgres")]
        Postgres(diesel::PgConnection),
    }
}

/// Runs a query of one column `text`.
pub(in crate::store) fn texts(
    connection: &mut AnyConnection,
    query: &str,
) -> QueryResult<Vec<String>> {
    let rows: Vec<Row> = diesel::sql_query(query).load(connection)?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}
