//! `/api/auth`: registering, signing in and signing out.

use rocket::http::Status;
use rocket::response::status::Custom;
use rocket::serde::json::Json;
use rocket::serde::{Deserialize, Serialize};
use rocket::{Route, State, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Session, UserId};
use utoipa::{OpenApi, ToSchema};

use super::openapi::responses::{Changes, ChecksPassword, ForUsers, OwnSite, ReadsBody, Stored};
use super::openapi::schemas;
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
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct UserAnswer {
    user: UserView,
}

#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct UserView {
    #[schema(value_type = String)]
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
#[derive(Deserialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct Credentials {
    #[schema(example = "ada")]
    username: String,
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// `{"username","password"}`, to be chosen.
#[derive(Deserialize, ToSchema)]
#[serde(crate = "rocket::serde")]
struct Registration {
    #[schema(schema_with = schemas::username)]
    username: String,
    #[schema(schema_with = schemas::new_password)]
    password: String,
}

/// Adds a user and signs in.
#[utoipa::path(
    post, path = "/register", operation_id = "register", tag = "auth",
    request_body(content(
        (Registration = "application/json"),
        (Registration = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The user is signed in", body = UserAnswer, headers(
            ("Set-Cookie" = String, description = "The session")
        )),
        ReadsBody, ChecksPassword, OwnSite, Changes, Stored,
    ),
    security((), ("session" = [])),
)]
#[post("/register", data = "<body>")]
async fn register(
    session: Session<SessionData>,
    _open: OpenRegistration,
    users: &State<Users>,
    trail: Trail,
    body: Body<Registration>,
) -> Result<Custom<Json<UserAnswer>>, ApiError> {
    let Body(Registration { username, password }) = body;
    let user = users.register(&username, &password, trail).await?;
    sign_in(users, &session, &user, Lasting::AsConfigured, trail).await?;
    Ok(Custom(Status::Created, Json(user.into())))
}

/// Signs in, or confirms the password of the user who is signed in.
#[utoipa::path(
    post, path = "/login", operation_id = "signIn", tag = "auth",
    request_body(content(
        (Credentials = "application/json"),
        (Credentials = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "The user is signed in", body = UserAnswer, headers(
            ("Set-Cookie" = String, description = "The session")
        )),
        ReadsBody, ChecksPassword, OwnSite, Changes, Stored,
    ),
    security((), ("session" = [])),
)]
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
        sign_in(users, &session, &user, Lasting::AsConfigured, trail).await,
    )?;
    Ok(Json(user.into()))
}

/// Ends the session.
#[utoipa::path(
    post, path = "/logout", operation_id = "signOut", tag = "auth",
    responses(
        (status = 204, description = "The session has ended", headers(
            ("Set-Cookie" = String, description = "Removes the cookie")
        )),
        ForUsers, OwnSite, Changes, Stored,
    ),
    security(("session" = [])),
)]
#[post("/logout")]
async fn logout(signed_in: SignedIn, trail: Trail) -> Result<Status, ApiError> {
    sign_out(&signed_in.session, trail).await?;
    Ok(Status::NoContent)
}

#[derive(OpenApi)]
#[openapi(paths(register, login, logout))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![register, login, logout]
}
