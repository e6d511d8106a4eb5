//! The download of what is stored about the user.

use rocket::http::Header;
use rocket::serde::json::Json;
use rocket::{Responder, Route, State, get, routes};
use rocket_diesel_sessions::UserSessions;

use crate::accounts::users::Users;
use crate::api::export::Export;
use crate::guards::signed_in::SignedIn;
use crate::http::error::ApiError;

/// A JSON file that the browser saves.
#[derive(Responder)]
struct Download {
    inner: Json<Export>,
    disposition: Header<'static>,
}

#[get("/account/export")]
async fn export(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
) -> Result<Download, ApiError> {
    let export = Export::of(&signed_in, users, sessions).await?;
    let day = export.exported_at.format("%Y-%m-%d");
    let disposition = format!("attachment; filename=\"account-{day}.json\"");
    Ok(Download {
        inner: Json(export),
        disposition: Header::new("Content-Disposition", disposition),
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![export]
}
