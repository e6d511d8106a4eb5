//! `/api/auth`: registering, signing in and out.

use rocket::http::Status;
use rocket::response::status::Custom;
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Route, State, post, routes};
use rocket_diesel_sessions::Session;
use rocket_diesel_sessions::store::UserRecord;

use super::session::Answer;
use crate::accounts::users::Users;
use crate::guards::signed_in::{SignedIn, sign_in};
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::monitoring::counters::Action;
use crate::session_data::SessionData;

/// `{"user":{"id","username"}}`.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct UserAnswer {
    user: UserView,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct UserView {
    id: String,
    username: String,
}

impl From<UserRecord> for UserAnswer {
    fn from(user: UserRecord) -> Self {
        Self {
            user: UserView {
                id: user.id,
                username: user.username,
            },
        }
    }
}

/// Adds a user and signs in.
#[post("/register", data = "<fields>")]
async fn register(
    session: Session<SessionData>,
    users: &State<Users>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> Result<Custom<Json<UserAnswer>>, ApiError> {
    users.admit_registration()?;
    let fields = fields?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    let user = users.register(username, password, trail).await?;
    sign_in(&session, &user, trail).await?;
    Ok(Custom(Status::Created, Json(user.into())))
}

/// Signs in; also again, to give the password once more.
#[post("/login", data = "<fields>")]
async fn login(
    session: Session<SessionData>,
    users: &State<Users>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> Answer<UserAnswer> {
    let fields = fields?;
    let (username, password) = (fields.required("username")?, fields.required("password")?);
    let user = users.recognise(username, password, trail).await?;
    users.counted(Action::Login, sign_in(&session, &user, trail).await)?;
    Ok(Json(user.into()))
}

/// Ends the session.
#[post("/logout")]
async fn logout(signed_in: Result<SignedIn, ApiError>, trail: Trail) -> Result<Status, ApiError> {
    signed_in?.sign_out(trail).await?;
    Ok(Status::NoContent)
}

pub(crate) fn routes() -> Vec<Route> {
    routes![register, login, logout]
}
