//! `tower-sessions` with its sqlx store. `PORT` and `DATABASE_URL` come from the environment.

use std::error::Error;

use axum_tower::{database, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    if url.starts_with("sqlite:") {
        serve(database::sqlite(&url).await?).await
    } else {
        serve(database::postgres(&url).await?).await
    }
}
