//! `/api/auth`: registering, signing in and signing out.

use rocket::http::Status;
use rocket::response::status::Custom;
use rocket::serde::json::Json;
use rocket::serde::{Deserialize, Serialize};
use rocket::{Route, State, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Session, UserId};

use super::session::Answer;
use crate::accounts::sign_in::{Lasting, sign_in, sign_out};
use crate::accounts::users::Users;
use crate::guards::registration::OpenRegistration;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Body;
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
    id: UserId,
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

/// `{"username","password"}`.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Credentials {
    username: String,
    password: String,
}

/// Adds a user and signs in.
#[post("/register", data = "<body>")]
async fn register(
    session: Session<SessionData>,
    _open: OpenRegistration,
    users: &State<Users>,
    trail: Trail,
    body: Body<Credentials>,
) -> Result<Custom<Json<UserAnswer>>, ApiError> {
    let Body(Credentials { username, password }) = body;
    let user = users.register(&username, &password, trail).await?;
    sign_in(&session, &user, Lasting::AsConfigured, trail).await?;
    Ok(Custom(Status::Created, Json(user.into())))
}

/// Signs in, or confirms the password of the user who is signed in.
#[post("/login", data = "<body>")]
async fn login(
    session: Session<SessionData>,
    users: &State<Users>,
    trail: Trail,
    body: Body<Credentials>,
) -> Answer<UserAnswer> {
    let Body(Credentials { username, password }) = body;
    let user = users.recognise(&username, &password, trail).await?;
    users.counted(
        Action::Login,
        sign_in(&session, &user, Lasting::AsConfigured, trail).await,
    )?;
    Ok(Json(user.into()))
}

/// Ends the session.
#[post("/logout")]
async fn logout(signed_in: SignedIn, trail: Trail) -> Result<Status, ApiError> {
    sign_out(&signed_in.session, trail).await?;
    Ok(Status::NoContent)
}

pub(crate) fn routes() -> Vec<Route> {
    routes![register, login, logout]
}
