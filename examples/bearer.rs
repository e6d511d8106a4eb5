//! An API for apps and command lines, which send the session's token in `Authorization`.
//!
//! ```text
//! cargo run --example bearer
//! token=$(curl --request POST http://127.0.0.1:8000/login/1)
//! curl --header "Authorization: Bearer $token" --request POST http://127.0.0.1:8000/notes/hello
//! ```

use rocket::http::Status;
use rocket::serde::json::Json;
use rocket::{delete, get, launch, post, routes};
use rocket_diesel_sessions::{Session, SessionError, Sessions, SignedIn};

type Notes = Vec<String>;

/// Signs in and returns the token. An application checks a password first.
#[post("/login/<id>")]
async fn login(session: Session<Notes>, id: i64) -> Result<String, Status> {
    session.login(id).await?;
    let token = session.token_once().ok_or(Status::InternalServerError)?;
    Ok(token.expose().to_owned())
}

#[post("/notes/<note>")]
async fn add(session: SignedIn<Notes>, note: &str) -> Result<(), SessionError> {
    let note = note.to_owned();
    session.update(move |notes| notes.push(note.clone())).await
}

#[get("/notes")]
fn notes(session: SignedIn<Notes>) -> Json<Notes> {
    Json(session.data().to_vec())
}

#[delete("/login")]
async fn logout(session: SignedIn<Notes>) -> Result<Status, SessionError> {
    session.logout().await?;
    Ok(Status::NoContent)
}

#[launch]
fn rocket() -> _ {
    // As in Rocket.toml: [default.sessions] transport = "bearer"
    let figment = rocket::Config::figment().merge(("sessions.transport", "bearer"));
    rocket::custom(figment)
        .attach(Sessions::<Notes>::fairing().external_users())
        .mount("/", routes![login, add, notes, logout])
}
