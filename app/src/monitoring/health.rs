//! Health checks: whether this instance is alive, and whether it can serve.

use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use utoipa::{OpenApi, ToSchema};

use crate::api::openapi::responses::Stored;
use crate::http::error::ApiError;

/// The answer of a server that is well.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Answers as long as the process is alive, without a statement.
#[utoipa::path(
    get, path = "/healthz", operation_id = "checkLife", tag = "monitoring",
    responses((status = 200, description = "The process runs", body = Health)),
)]
#[get("/healthz")]
fn healthz() -> Json<Health> {
    OK
}

/// Answers 200 if the database answers.
#[utoipa::path(
    get, path = "/readyz", operation_id = "checkReadiness", tag = "monitoring",
    responses((status = 200, description = "Requests would be served", body = Health), Stored),
)]
#[get("/readyz")]
async fn readyz(sessions: &State<SessionAdmin>) -> Result<Json<Health>, ApiError> {
    sessions.ping().await?;
    Ok(OK)
}

#[derive(OpenApi)]
#[openapi(paths(healthz, readyz))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![healthz, readyz]
}
