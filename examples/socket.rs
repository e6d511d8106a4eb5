//! A WebSocket that is closed when its session ends.
//!
//! ```text
//! cargo run --example socket
//! ```

use rocket::futures::{SinkExt, StreamExt};
use rocket::tokio::{pin, select};
use rocket::{get, launch, post, routes};
use rocket_diesel_sessions::{CrossSiteProtection, Session, SessionError, Sessions, SignedIn};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::{Channel, Message, WebSocket};

/// The code of a close frame for "who you are is no longer accepted".
const POLICY: CloseCode = CloseCode::Policy;

/// Signs in. An application checks a password first.
#[post("/login/<id>")]
async fn login(session: Session<()>, id: i64) -> Result<(), SessionError> {
    session.login(id).await
}

#[post("/logout")]
async fn logout(session: Session<()>) -> Result<(), SessionError> {
    session.logout().await
}

/// Returns what it is sent.
#[get("/echo")]
fn echo(session: SignedIn<()>, socket: WebSocket) -> Channel<'static> {
    let ended = session.ended();
    socket.channel(move |mut stream| {
        Box::pin(async move {
            pin!(ended);
            loop {
                select! {
                    message = stream.next() => match message {
                        Some(message) => stream.send(message?).await?,
                        None => return Ok(()),
                    },
                    () = &mut ended => {
                        let frame = CloseFrame { code: POLICY, reason: "signed out".into() };
                        return stream.send(Message::Close(Some(frame))).await;
                    }
                }
            }
        })
    })
}

#[launch]
fn rocket() -> _ {
    rocket::build()
        .attach(Sessions::<()>::fairing().external_users())
        .attach(CrossSiteProtection::fairing())
        .mount("/", routes![login, logout, echo])
}
