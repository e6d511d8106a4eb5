//! `tower-sessions` with its sqlx store behind its cache in memory. `PORT` and `DATABASE_URL` come
//! from the environment.

use std::error::Error;

use axum_tower::{database, serve};
use tower_sessions::CachingSessionStore;
use tower_sessions_moka_store::MokaStore;

/// Room for all sessions of the benchmark: the best case for a cache.
const CACHED_SESSIONS: u64 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let cache = MokaStore::new(Some(CACHED_SESSIONS));
    if url.starts_with("sqlite:") {
        let database = database::sqlite(&url).await?;
        serve(CachingSessionStore::new(cache, database)).await
    } else {
        let database = database::postgres(&url).await?;
        serve(CachingSessionStore::new(cache, database)).await
    }
}
