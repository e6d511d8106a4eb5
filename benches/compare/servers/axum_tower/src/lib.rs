//! The application of the three servers with `tower-sessions` on axum. Only their stores differ.

pub mod database;

use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use time::Duration;
use tokio::net::TcpListener;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

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

/// Serves on the port in the environment variable `PORT`.
///
/// # Errors
/// If the port is missing or taken.
pub async fn serve(store: impl SessionStore + Clone) -> Result<(), Box<dyn Error>> {
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
