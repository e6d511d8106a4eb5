//! Whether this instance lives, and whether it can serve.

use rocket::serde::json::{Json, Value, json};
use rocket::{Route, State, get, routes};

use crate::SessionAdmin;
use crate::app::http::error::ApiError;

/// Alive: costs no statement.
#[get("/healthz")]
fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Ready: the database answers.
#[get("/readyz")]
async fn readyz(sessions: &State<SessionAdmin>) -> Result<Json<Value>, ApiError> {
    sessions.ping().await?;
    Ok(Json(json!({"status": "ok"})))
}

pub(in crate::app) fn routes() -> Vec<Route> {
    routes![healthz, readyz]
}
