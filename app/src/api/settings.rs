//! `/api/account/settings`: what a signed-in user has set for the account.

use rocket::data::{Data, FromData, Outcome as DataOutcome};
use rocket::serde::json::Json;
use rocket::{Request, Route, State, get, patch, routes};
use utoipa::OpenApi;

use super::openapi::responses::{Changes, ForUsers, OwnSite, ReadsBody, Stored};
use super::session::{Answer, read_merge_patch};
use crate::accounts::settings::{Settings, SettingsPatch};
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::error::ApiError;
use crate::http::failure::outcome;

/// Shows the settings of the account.
#[utoipa::path(
    get, path = "/settings", operation_id = "showOwnSettings", tag = "account",
    responses(
        (status = 200, description = "The settings", body = Settings),
        ForUsers, Stored,
    ),
    security(("session" = [])),
)]
#[get("/settings")]
async fn show(signed_in: SignedIn, users: &State<Users>) -> Answer<Settings> {
    Ok(Json(current(&signed_in, users).await?))
}

/// Returns the settings that hold for the user.
async fn current(signed_in: &SignedIn, users: &Users) -> Result<Settings, ApiError> {
    let account = signed_in.stored_account(users).await?;
    let data = signed_in.session.try_data()?;
    Ok(Settings::of(Some(&account), &data))
}

/// Changes fields of the settings, on all devices.
#[utoipa::path(
    patch, path = "/settings", operation_id = "changeOwnSettings", tag = "account",
    request_body = SettingsPatch,
    responses(
        (status = 200, description = "The settings as they are now", body = Settings),
        ForUsers, ReadsBody, OwnSite, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[patch("/settings", data = "<patch>")]
async fn change(
    signed_in: SignedIn,
    users: &State<Users>,
    patch: SettingsPatch,
) -> Answer<Settings> {
    users.change_settings(&signed_in.user_id, patch).await?;
    Ok(Json(current(&signed_in, users).await?))
}

#[rocket::async_trait]
impl<'r> FromData<'r> for SettingsPatch {
    type Error = ();

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> DataOutcome<'r, Self> {
        outcome(request, read_patch(request, body).await)
    }
}

async fn read_patch(request: &Request<'_>, body: Data<'_>) -> Result<SettingsPatch, ApiError> {
    let body = read_merge_patch(request, body).await?;
    SettingsPatch::from_json(body).map_err(ApiError::unprocessable)
}

#[derive(OpenApi)]
#[openapi(paths(show, change))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![show, change]
}
