//! Health checks: whether this instance is alive, and whether it can serve.

use rocket::serde::json::{Json, Value, json};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;

use crate::http::error::ApiError;

/// Answers as long as the process is alive, without a statement.
#[get("/healthz")]
fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Answers 200 if the database answers.
#[get("/readyz")]
async fn readyz(sessions: &State<SessionAdmin>) -> Result<Json<Value>, ApiError> {
    sessions.ping().await?;
    Ok(Json(json!({"status": "ok"})))
}

pub(crate) fn routes() -> Vec<Route> {
    routes![healthz, readyz]
}
