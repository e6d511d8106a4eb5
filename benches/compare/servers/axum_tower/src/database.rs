//! The sqlx stores, with the task that deletes expired sessions.

use std::error::Error;

use tower_sessions::{ExpiredDeletion, SessionStore};
use tower_sessions_sqlx_store::sqlx;
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

const POOL_SIZE: u32 = 10;
const DELETION_INTERVAL: tokio::time::Duration = tokio::time::Duration::from_secs(60);

/// Opens the store of a PostgreSQL database.
///
/// # Errors
/// If the database cannot be used.
pub async fn postgres(url: &str) -> Result<PostgresStore, Box<dyn Error>> {
    let pool = PgPoolOptions::new().max_connections(POOL_SIZE);
    let store = PostgresStore::new(pool.connect(url).await?);
    store.migrate().await?;
    delete_expired(&store);
    Ok(store)
}

/// Opens the store of a SQLite file.
///
/// # Errors
/// If the file cannot be used.
pub async fn sqlite(url: &str) -> Result<SqliteStore, Box<dyn Error>> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(POOL_SIZE);
    let store = SqliteStore::new(pool.connect_with(options).await?);
    store.migrate().await?;
    delete_expired(&store);
    Ok(store)
}

fn delete_expired(store: &(impl SessionStore + ExpiredDeletion + Clone)) {
    tokio::spawn(store.clone().continuously_delete_expired(DELETION_INTERVAL));
}
