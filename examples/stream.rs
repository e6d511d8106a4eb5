//! Server-sent events that end with their session: at its logout, also on another instance, and at
//! its deadline.
//!
//! ```text
//! cargo run --example stream
//! curl --cookie-jar jar --request POST http://127.0.0.1:8000/login/1
//! curl --cookie jar --no-buffer http://127.0.0.1:8000/ticks
//! curl --cookie jar --request POST http://127.0.0.1:8000/logout    # in another terminal
//! ```

use std::time::Duration;

use rocket::response::stream::{Event, EventStream};
use rocket::tokio::time::interval;
use rocket::tokio::{pin, select};
use rocket::{Shutdown, get, launch, post, routes};
use rocket_diesel_sessions::{Session, SessionError, Sessions, SignedIn};

/// Signs in. An application checks a password first.
#[post("/login/<id>")]
async fn login(session: Session<()>, id: i64) -> Result<(), SessionError> {
    session.login(id).await
}

#[post("/logout")]
async fn logout(session: Session<()>) -> Result<(), SessionError> {
    session.logout().await
}

#[get("/ticks")]
fn ticks(session: SignedIn<()>, mut shutdown: Shutdown) -> EventStream![] {
    let ended = session.ended();
    EventStream! {
        pin!(ended);
        let mut ticks = interval(Duration::from_millis(500));
        let mut number = 0_u64;
        loop {
            select! {
                _ = ticks.tick() => {
                    number += 1;
                    yield Event::data(number.to_string());
                }
                () = &mut ended => {
                    // Without this event, the browser would ask again.
                    yield Event::data("signed out").event("end");
                    break;
                }
                () = &mut shutdown => break,
            }
        }
    }
}

#[launch]
fn rocket() -> _ {
    rocket::build()
        .attach(Sessions::<()>::fairing().external_users())
        .mount("/", routes![login, logout, ticks])
}
