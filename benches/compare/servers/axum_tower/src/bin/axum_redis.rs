//! `tower-sessions` with its Redis store. `PORT` and, as a redis:// URL, `DATABASE_URL` come from
//! the environment.

use std::error::Error;

use axum_tower::serve;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};

/// As in the documentation of the store.
const POOL_SIZE: usize = 6;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let pool = Pool::new(Config::from_url(&url)?, None, None, None, POOL_SIZE)?;
    let connections = pool.connect();
    pool.wait_for_connect().await?;
    serve(RedisStore::new(pool)).await?;
    connections.await??;
    Ok(())
}
