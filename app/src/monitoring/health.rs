//! Health checks: whether this instance is alive, and whether it can serve.

use rocket::response::content::RawJson;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;

use crate::http::error::ApiError;

const OK: RawJson<&str> = RawJson(r#"{"status":"ok"}"#);

/// Answers as long as the process is alive, without a statement.
#[get("/healthz")]
fn healthz() -> RawJson<&'static str> {
    OK
}

/// Answers 200 if the database answers.
#[get("/readyz")]
async fn readyz(sessions: &State<SessionAdmin>) -> Result<RawJson<&'static str>, ApiError> {
    sessions.ping().await?;
    Ok(OK)
}

pub(crate) fn routes() -> Vec<Route> {
    routes![healthz, readyz]
}
