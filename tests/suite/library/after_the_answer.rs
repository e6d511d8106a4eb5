//! An operation that needs a new cookie after the response's headers are out is an error, before
//! the database is asked: in a stream, in a spawned task, or in a later response fairing.

use std::sync::{Arc, Mutex};

use rocket::fairing::AdHoc;
use rocket::http::Header;
use rocket::local::asynchronous::Client;
use rocket::response::stream::TextStream;
use rocket::tokio::sync::Semaphore;
use rocket::{State, get, routes};
use rocket_diesel_sessions::{Session, SessionConfig, SessionError};

use crate::support::embedded::{Cart, get, new_cookie, rocket, run};
use crate::support::{Database, wait_for};

type Said = Arc<Mutex<Vec<String>>>;

fn say(said: &Said, what: &str, result: Result<(), SessionError>) {
    let said_of_it = match result {
        Ok(()) => format!("{what}: done"),
        Err(SessionError::Answered) => format!("{what}: answered"),
        Err(error) => format!("{what}: {error}"),
    };
    said.lock().unwrap().push(said_of_it);
}

/// Does everything that a session can do, in an order in which each step could succeed.
async fn try_all(session: &Session<Cart>, said: &Said) {
    say(said, "count", session.update(|cart| cart.count += 1).await);
    say(said, "login", session.login("ada").await);
    say(said, "rotate", session.rotate().await);
    say(said, "logout", session.logout().await);
}

#[get("/stream")]
fn stream(session: Session<Cart>, said: &State<Said>) -> TextStream![&'static str] {
    let said = Arc::clone(said);
    TextStream! {
        yield "begun ";
        try_all(&session, &said).await;
        yield "ended";
    }
}

/// Continues after the response has been sent.
#[get("/spawn")]
fn spawn(
    session: Session<Cart>,
    said: &State<Said>,
    is_out: &State<Arc<Semaphore>>,
) -> &'static str {
    let (said, is_out) = (Arc::clone(said), Arc::clone(is_out));
    rocket::tokio::spawn(async move {
        is_out.acquire().await.unwrap().forget();
        try_all(&session, &said).await;
    });
    "spawned"
}

/// Returns the client, the recorded results, and the semaphore that a spawned task waits for.
async fn client(database: &Database) -> (Client, Said, Arc<Semaphore>) {
    let is_out = Arc::new(Semaphore::new(0));
    let (rocket, _) = rocket(database.store(), SessionConfig::default());
    let said = Said::default();
    let later = AdHoc::on_response("later", |request, response| {
        Box::pin(async move {
            if request.uri().path() == "/fairing" {
                let session = request.guard::<Session<Cart>>().await.unwrap();
                try_all(&session, request.rocket().state::<Said>().unwrap()).await;
                response.set_header(Header::new("X-Later", "yes"));
            }
        })
    });
    let rocket = rocket
        .manage(Arc::clone(&said))
        .manage(Arc::clone(&is_out))
        .mount("/", routes![stream, spawn])
        .attach(later);
    (Client::untracked(rocket).await.unwrap(), said, is_out)
}

on_each_database! {
    fn i13_operations_after_the_response_are_errors_and_lose_nothing(database: &Database) {
        run(async {
            let (client, said, is_out) = client(database).await;
            database.add_users(&["ada"]);
            for path in ["/stream", "/fairing", "/spawn"] {
                // A visitor without a session gets none.
                let answer = get(&client, path, None).await;
                assert_eq!(answer.header("set-cookie"), None, "{path}");
                is_out.add_permits(usize::from(path == "/spawn"));
                wait_for("all was tried", async || said.lock().unwrap().len() >= 4).await;
                let seen = std::mem::take(&mut *said.lock().unwrap());
                let expected = ["count: answered", "login: answered", "rotate: done", "logout: done"];
                assert_eq!(seen, expected, "{path}");
                assert_eq!(database.sessions(), 0, "{path}");
                // A visitor with a session keeps it until it is ended. Data needs no cookie.
                let cookie = new_cookie(&client).await;
                get(&client, path, Some(&cookie)).await;
                is_out.add_permits(usize::from(path == "/spawn"));
                wait_for("all was tried", async || said.lock().unwrap().len() >= 4).await;
                let seen = std::mem::take(&mut *said.lock().unwrap());
                let expected = ["count: done", "login: answered", "rotate: answered", "logout: done"];
                assert_eq!(seen, expected, "{path}");
                assert_eq!(database.sessions(), 0, "{path}");
            }
        });
    }
}
