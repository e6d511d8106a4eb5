//! Handlers that do one thing each.

use std::sync::Arc;

use rocket::http::Status;
use rocket::serde::{Deserialize, Serialize};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::{Login, Session, SessionError};

use super::gate::Gate;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
pub(crate) struct Cart {
    pub(crate) count: u64,
    pub(crate) items: Vec<String>,
}

pub(crate) type Answered = Result<String, SessionError>;

#[get("/read")]
fn read(session: Session<Cart>) -> String {
    session.data().count.to_string()
}

#[get("/count")]
async fn count(session: Session<Cart>) -> Answered {
    let counted = session.update(|cart| {
        cart.count += 1;
        cart.count
    });
    Ok(counted.await?.to_string())
}

#[get("/add/<item>")]
async fn add(session: Session<Cart>, item: String) -> Answered {
    let added = session.update(move |cart| {
        cart.items.push(item.clone());
        cart.items.len()
    });
    Ok(added.await?.to_string())
}

#[get("/rotate")]
async fn rotate(session: Session<Cart>) -> Answered {
    session.rotate().await?;
    Ok(session.session_id().unwrap_or_default().to_string())
}

#[get("/destroy")]
async fn destroy(session: Session<Cart>) -> Answered {
    session.destroy().await?;
    Ok("destroyed".to_owned())
}

#[get("/login/<user>?<hash>")]
async fn login(session: Session<Cart>, user: &str, hash: Option<&str>) -> Answered {
    let login = Login::new(user);
    session
        .login(match hash {
            Some(hash) => login.verified_against(hash),
            None => login,
        })
        .await?;
    Ok(session.handle().map(String::from).unwrap_or_default())
}

#[get("/logout")]
async fn logout(session: Session<Cart>) -> Answered {
    session.logout().await?;
    Ok("signed out".to_owned())
}

#[get("/id")]
fn id(session: Session<Cart>) -> String {
    session.handle().map(String::from).unwrap_or_default()
}

/// Returns the user, or `-` if there is none.
#[get("/user")]
fn user(session: Session<Cart>) -> String {
    session
        .user_id()
        .map_or_else(|| "-".to_owned(), String::from)
}

#[get("/slow/login/<user>?<hash>")]
async fn slow_login(
    session: Session<Cart>,
    gate: &State<Arc<Gate>>,
    user: &str,
    hash: Option<&str>,
) -> Answered {
    gate.pass().await;
    login(session, user, hash).await
}

#[get("/slow/count")]
async fn slow_count(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    gate.pass().await;
    count(session).await
}

#[get("/slow/set")]
async fn slow_set(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    gate.pass().await;
    session.set(Cart::default()).await?;
    Ok("set".to_owned())
}

#[get("/slow/rotate")]
async fn slow_rotate(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    gate.pass().await;
    rotate(session).await
}

#[get("/slow/destroy")]
async fn slow_destroy(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    gate.pass().await;
    destroy(session).await
}

#[get("/status/<code>")]
async fn status(session: Session<Cart>, code: u16) -> Result<Status, SessionError> {
    session.update(|cart| cart.count += 1).await?;
    Ok(Status::new(code))
}

/// Signs in and answers with another status.
#[get("/status/<code>/login/<user>")]
async fn login_status(
    session: Session<Cart>,
    code: u16,
    user: &str,
) -> Result<Status, SessionError> {
    session.login(user).await?;
    Ok(Status::new(code))
}

/// Gives the session a new token and answers with another status.
#[get("/status/<code>/rotate")]
async fn rotate_status(session: Session<Cart>, code: u16) -> Result<Status, SessionError> {
    session.rotate().await?;
    Ok(Status::new(code))
}

/// Cancels a rotation that the store has begun.
#[get("/impatient/rotate")]
async fn impatient_rotate(session: Session<Cart>, gate: &State<Arc<Gate>>) -> &'static str {
    rocket::tokio::select! {
        _ = session.rotate() => "rotated",
        () = gate.pass() => "gave up",
    }
}

#[get("/two")]
async fn two_guards(one: Session<Cart>, other: Session<Cart>) -> Answered {
    one.update(|cart| cart.count += 1).await?;
    other.update(|cart| cart.count += 1).await?;
    assert_eq!(one.data(), other.data());
    Ok(one.data().count.to_string())
}

#[get("/panic")]
async fn panicking(session: Session<Cart>) -> Answered {
    let failed = session.update(|cart| {
        cart.count += 100;
        assert!(cart.count == 0, "a closure that panics");
    });
    failed.await?;
    Ok("never".to_owned())
}

/// Counts in a closure that waits at the gate.
#[get("/stuck")]
async fn stuck(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    let gate = Arc::clone(gate);
    let counted = session.update(move |cart| {
        gate.block_closure();
        cart.count += 1;
        cart.count
    });
    Ok(counted.await?.to_string())
}

#[get("/large/<size>")]
async fn large(session: Session<Cart>, size: usize) -> Answered {
    session
        .update(move |cart| cart.items = vec!["x".repeat(size)])
        .await?;
    Ok("stored".to_owned())
}

#[get("/unused")]
fn unused() -> &'static str {
    "no session asked for"
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        read,
        count,
        add,
        rotate,
        destroy,
        login,
        logout,
        id,
        user,
        slow_login,
        slow_count,
        slow_set,
        slow_rotate,
        slow_destroy,
        status,
        login_status,
        rotate_status,
        impatient_rotate,
        two_guards,
        panicking,
        stuck,
        large,
        unused
    ]
}
