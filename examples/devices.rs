//! Signing in, remaining signed in, and a page of the user's devices.
//!
//! ```text
//! cargo run --example devices
//! ```

use std::time::Duration;

use rocket::form::{Form, FromForm};
use rocket::http::Status;
use rocket::response::Redirect;
use rocket::response::content::RawHtml;
use rocket::{State, get, launch, post, routes};
use rocket_diesel_sessions::{
    CrossSiteProtection, Fresh, Login, Session, SessionError, Sessions, SignedIn, UserSessions,
};

const DAY: Duration = Duration::from_hours(24);

#[derive(FromForm)]
struct SignIn {
    user: i64,
    keep: bool,
}

#[get("/")]
fn index() -> RawHtml<&'static str> {
    RawHtml(
        "<form method=post action=/login><input name=user value=1>\
         <label><input type=checkbox name=keep> Keep me signed in</label>\
         <button>Sign in</button></form>",
    )
}

/// Signs in. An application checks a password first.
#[post("/login", data = "<form>")]
async fn login(session: Session<()>, form: Form<SignIn>) -> Result<Redirect, SessionError> {
    let login = Login::new(form.user).method("pwd");
    let login = if form.keep {
        login.idle_timeout(30 * DAY).absolute_timeout(90 * DAY)
    } else {
        login.browser_session()
    };
    session.login(login).await?;
    Ok(Redirect::to("/devices"))
}

#[get("/devices")]
async fn devices(
    session: SignedIn<()>,
    sessions: &State<UserSessions>,
) -> Result<RawHtml<String>, SessionError> {
    let devices = sessions.list(session.user()).await?;
    let rows: Vec<String> = devices
        .iter()
        .map(|device| {
            let is_this = session.handle().as_ref() == Some(&device.id);
            format!(
                "<form method=post action=/devices/{}/end>{}, last seen {}, from {} \
             <button>Sign out</button></form>",
                device.id,
                if is_this {
                    "this device"
                } else {
                    "another device"
                },
                device.last_seen_at,
                device.ip.as_deref().unwrap_or("an unknown address"),
            )
        })
        .collect();
    Ok(RawHtml(format!("<h1>Your devices</h1>{}", rows.concat())))
}

/// Signs one device out. `Fresh` requires that the user has signed in a short time ago, so that a
/// stolen cookie cannot lock its owner out.
#[post("/devices/<id>/end")]
async fn end(
    session: Fresh<()>,
    sessions: &State<UserSessions>,
    id: &str,
) -> Result<Redirect, Status> {
    let this = session.session_id().ok_or(Status::Unauthorized)?;
    let ended = sessions.by(this).revoke(session.user(), id).await?;
    if ended {
        return Ok(Redirect::to("/"));
    }
    Err(Status::NotFound)
}

#[launch]
fn rocket() -> _ {
    rocket::build()
        .attach(Sessions::<()>::fairing().external_users())
        .attach(CrossSiteProtection::fairing())
        .mount("/", routes![index, login, devices, end])
}
