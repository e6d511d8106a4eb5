//! An application for clients that keep their token themselves.

use std::sync::Arc;

use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket::{Build, Rocket, State, get, routes};
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{Fresh, Session, SessionConfig, SessionError, SignedIn, Transport};

use crate::support::altered;
use crate::support::embedded::{Answered, Cart, Gate, rocket};
use crate::support::local::Answer;

/// Returns the text of the token that was issued, or `-`.
fn taken(session: &Session<Cart>) -> String {
    let token = session.token_once();
    token.map_or_else(|| "-".to_owned(), |token| token.expose().to_owned())
}

/// Increments the count and returns it with what `token_once` returns twice.
#[get("/token/count")]
async fn count(session: Session<Cart>) -> Answered {
    let count = session.update(|cart| {
        cart.count += 1;
        cart.count
    });
    let count = count.await?;
    Ok(format!("{count} {} {}", taken(&session), taken(&session)))
}

#[get("/token/login/<user>")]
async fn login(session: Session<Cart>, user: &str) -> Answered {
    session.login(user).await?;
    Ok(taken(&session))
}

#[get("/token/rotate")]
async fn rotate(session: Session<Cart>) -> Answered {
    session.rotate().await?;
    Ok(taken(&session))
}

/// Rotates after the test has opened the gate, and tries to get a token either way.
#[get("/token/slow-rotate")]
async fn slow_rotate(session: Session<Cart>, gate: &State<Arc<Gate>>) -> String {
    gate.pass().await;
    let rotated = session.rotate().await;
    format!("{rotated:?} {}", taken(&session))
}

/// Signs in, takes the token and answers with another status.
#[get("/token/status/<code>/login/<user>")]
async fn login_status(
    session: Session<Cart>,
    code: u16,
    user: &str,
) -> Result<(Status, String), SessionError> {
    session.login(user).await?;
    Ok((Status::new(code), taken(&session)))
}

/// Panics with the token in its hands.
#[get("/token/panic/<user>")]
async fn panicking(session: Session<Cart>, user: &str) -> Answered {
    session.login(user).await?;
    let token = taken(&session);
    assert!(token.is_empty(), "a handler that panics");
    Ok(token)
}

#[get("/token/status/<code>/rotate")]
async fn rotate_status(
    session: Session<Cart>,
    code: u16,
) -> Result<(Status, String), SessionError> {
    session.rotate().await?;
    Ok((Status::new(code), taken(&session)))
}

/// Takes the token of a login, and leaves that of the rotation after it.
#[get("/token/login/<user>/rotate")]
async fn second_not_taken(session: Session<Cart>, user: &str) -> Answered {
    session.login(user).await?;
    let first = taken(&session);
    session.rotate().await?;
    Ok(first)
}

#[get("/token/login/<user>/logout")]
async fn in_and_out(session: Session<Cart>, user: &str) -> Answered {
    session.login(user).await?;
    session.logout().await?;
    Ok(taken(&session))
}

#[get("/token")]
fn no_token(session: Session<Cart>) -> String {
    taken(&session)
}

#[get("/signed-in")]
fn signed_in(session: SignedIn<Cart>) -> String {
    session.user().to_string()
}

#[get("/fresh")]
fn fresh(session: Fresh<Cart>) -> String {
    session.user().to_string()
}

/// Returns settings with a transport.
pub(super) fn by(transport: Transport) -> SessionConfig {
    altered(SessionConfig::default(), |config| {
        config.transport = transport;
    })
}

/// Returns the application and its clock.
pub(super) fn application(
    store: Arc<dyn SessionStore>,
    config: SessionConfig,
) -> (Rocket<Build>, Arc<ManualClock>) {
    let (rocket, clock) = rocket(store, config);
    let routes = routes![
        count,
        login,
        rotate,
        slow_rotate,
        login_status,
        panicking,
        rotate_status,
        second_not_taken,
        in_and_out,
        no_token,
        signed_in,
        fresh
    ];
    (rocket.mount("/", routes), clock)
}

/// Returns a client of the application.
pub(super) async fn client(store: Arc<dyn SessionStore>, transport: Transport) -> Client {
    let (rocket, _) = application(store, by(transport));
    Client::untracked(rocket).await.unwrap()
}

/// Sends a GET request with these headers.
pub(super) async fn send(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.get(path.to_owned());
    for (name, value) in headers {
        request.add_header(Header::new((*name).to_owned(), (*value).to_owned()));
    }
    Answer::read(request.dispatch().await).await
}

/// Sends a GET request with a bearer token.
pub(super) async fn with(client: &Client, path: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    send(client, path, &[("Authorization", &authorization)]).await
}

/// Returns the token of a new session whose count is 1.
pub(super) async fn new_token(client: &Client) -> String {
    let answer = send(client, "/token/count", &[]).await;
    let words: Vec<_> = answer.body.split(' ').collect();
    assert_eq!((words[0], words[2]), ("1", "-"), "{}", answer.body);
    assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
    words[1].to_owned()
}
