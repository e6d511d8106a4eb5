//! `/api/admin/sweep`, `/api/admin/sweeps` and `/api/admin/settings`.

use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::SessionAdmin;

use utoipa::{OpenApi, ToSchema};

use super::views::SweepList;
use crate::api::openapi::parameters::Limit;
use crate::api::openapi::responses::{Checked, ForAdministrators, OwnSite, Stored};
use crate::api::query::{self, Given, NoQuery};
use crate::api::session::{Answer, Deleted};
use crate::guards::admin::Admin;
use crate::monitoring::audit::{Event, Trail};
use crate::settings::effective::{EffectiveSettings, Setting};

/// Sweeps in a list.
const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;

/// Deletes expired sessions.
#[utoipa::path(
    post, path = "/sweep", operation_id = "sweep", tag = "administration",
    responses(
        (status = 200, description = "The expired sessions are deleted", body = Deleted),
        ForAdministrators, OwnSite, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[post("/sweep")]
async fn sweep(
    admin: Admin,
    _query: NoQuery,
    sessions: &State<SessionAdmin>,
    trail: Trail,
) -> Answer<Deleted> {
    let deleted = sessions.sweep().await?.deleted;
    if deleted > 0 {
        let entry = trail.event(Event::Swept).by(admin.name());
        entry.deleted(deleted).write();
    }
    Ok(Json(Deleted { deleted }))
}

/// Lists the last sweeps of all instances, newest first.
#[utoipa::path(
    get, path = "/sweeps", operation_id = "listSweeps", tag = "administration",
    params(Limit<DEFAULT_LIMIT, MAX_LIMIT>),
    responses(
        (status = 200, description = "The last sweeps, newest first", body = SweepList),
        ForAdministrators, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/sweeps?<limit>")]
async fn sweeps(
    _admin: Admin,
    sessions: &State<SessionAdmin>,
    limit: Given<'_>,
) -> Answer<SweepList> {
    let limit = query::number("limit", &limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    Ok(Json(sessions.sweeps(limit).await?.into()))
}

/// `{"settings": […]}`.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct SettingList<'a> {
    settings: &'a [Setting],
}

/// Shows the effective settings of this instance, without secrets.
#[utoipa::path(
    get, path = "/settings", operation_id = "showSettings", tag = "administration",
    responses(
        (status = 200, description = "The settings, without secrets", body = SettingList),
        ForAdministrators, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/settings")]
fn settings(_admin: Admin, settings: &State<EffectiveSettings>) -> Json<SettingList<'_>> {
    let settings = &settings.inner().0;
    Json(SettingList { settings })
}

#[derive(OpenApi)]
#[openapi(paths(sweep, sweeps, settings))]
pub(crate) struct Paths;

pub(super) fn routes() -> Vec<Route> {
    routes![sweep, sweeps, settings]
}
