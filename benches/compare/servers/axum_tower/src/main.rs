//! `tower-sessions` with its sqlx store on axum. `PORT` and `DATABASE_URL` come from the
//! environment.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use time::Duration;
use tokio::net::TcpListener;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{ExpiredDeletion, Expiry, Session, SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::sqlx;
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

const POOL_SIZE: u32 = 10;
const DELETION_INTERVAL: tokio::time::Duration = tokio::time::Duration::from_secs(60);
const COUNT: &str = "count";

async fn plain() -> &'static str {
    "ok"
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let count: Option<u64> = session.get(COUNT).await.map_err(|error| failed(&error))?;
    Ok(count.unwrap_or_default().to_string())
}

async fn count(session: Session) -> Result<String, StatusCode> {
    let count: Option<u64> = session.get(COUNT).await.map_err(|error| failed(&error))?;
    let count = count.unwrap_or_default() + 1;
    let inserted = session.insert(COUNT, count).await;
    inserted.map_err(|error| failed(&error))?;
    Ok(count.to_string())
}

fn failed(_: &SessionError) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    if url.starts_with("sqlite:") {
        serve(sqlite(&url).await?).await
    } else {
        serve(postgres(&url).await?).await
    }
}

async fn postgres(url: &str) -> Result<PostgresStore, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(POOL_SIZE);
    let store = PostgresStore::new(pool.connect(url).await?);
    store.migrate().await?;
    Ok(store)
}

async fn sqlite(url: &str) -> Result<SqliteStore, sqlx::Error> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(POOL_SIZE);
    let store = SqliteStore::new(pool.connect_with(options).await?);
    store.migrate().await?;
    Ok(store)
}

async fn serve<S>(store: S) -> Result<(), Box<dyn Error>>
where
    S: SessionStore + ExpiredDeletion + Clone,
{
    tokio::spawn(store.clone().continuously_delete_expired(DELETION_INTERVAL));
    let sessions = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::days(1)));
    let router = Router::new()
        .route("/plain", get(plain))
        .route("/read", get(read))
        .route("/count", get(count))
        .layer(sessions);
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}
