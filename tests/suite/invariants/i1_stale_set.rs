//! I1: a `set` that would overwrite what its request has not seen is refused.

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::task::JoinSet;
use rocket::{State, get, routes};
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::{Session, SessionError};
use std::sync::Arc;

use crate::support::Database;
use crate::support::embedded::{self, Answered, Cart, Gate, get, new_cookie, patient, run};

const VISITORS: usize = 12;
const CALLS: usize = 25;

fn counted(count: u64) -> Cart {
    let items = Vec::new();
    Cart { count, items }
}

/// Adds 1 to what this request has read.
#[get("/set-next")]
async fn set_next(session: Session<Cart>) -> Answered {
    let next = session.data().count + 1;
    session.set(counted(next)).await?;
    Ok(next.to_string())
}

/// Adds 1 twice, the second time to the result of its own update.
#[get("/update-and-set")]
async fn update_and_set(session: Session<Cart>) -> Answered {
    session.update(|cart| cart.count += 1).await?;
    match set_next(session).await {
        Err(SessionError::Stale) => Ok("1".to_owned()),
        set => set.map(|_| "2".to_owned()),
    }
}

#[get("/slow/set-twice")]
async fn set_twice(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    let next = session.data().count + 1;
    session.set(counted(next)).await?;
    gate.pass().await;
    session.set(counted(next + 1)).await?;
    Ok(session.data().count.to_string())
}

/// Sets again after it was refused, and once more after it has seen the newest data.
#[get("/slow/set-again")]
async fn set_again(session: Session<Cart>, gate: &State<Arc<Gate>>) -> Answered {
    gate.pass().await;
    for _ in 0..2 {
        let refused = session.set(counted(7)).await;
        assert_eq!(refused, Err(SessionError::Stale));
    }
    session.update(|_| ()).await?;
    let seen = session.data().count;
    session.set(counted(100)).await?;
    Ok(seen.to_string())
}

async fn client(store: Arc<dyn SessionStore>) -> Client {
    let (rocket, _) = embedded::rocket(store, patient());
    let routes = routes![set_next, update_and_set, set_twice, set_again];
    Client::untracked(rocket.mount("/", routes)).await.unwrap()
}

/// Lets a request pass the gate after another request has changed the data.
async fn overtaken(client: &Client, path: &str, cookie: &str) -> (Status, String) {
    let gate = client.rocket().state::<Arc<Gate>>().unwrap();
    let meanwhile = async {
        gate.arrival().await;
        get(client, "/count", Some(cookie)).await;
        gate.open();
    };
    let (answer, ()) = rocket::tokio::join!(get(client, path, Some(cookie)), meanwhile);
    (answer.status, answer.body)
}

on_each_database! {
    fn i1_a_set_overwrites_nothing_that_its_request_has_not_seen(database: &Database) {
        run(async {
            let client = client(database.store()).await;
            let cookie = new_cookie(&client).await;
            let refused = overtaken(&client, "/slow/set", &cookie).await;
            assert_eq!(refused.0, Status::Conflict);
            assert_eq!(get(&client, "/read", Some(&cookie)).await.body, "2");
            // What the request itself wrote is no reason to refuse it; what came after that is.
            let refused = overtaken(&client, "/slow/set-twice", &cookie).await;
            assert_eq!(refused.0, Status::Conflict);
            assert_eq!(get(&client, "/read", Some(&cookie)).await.body, "4");
            let seen = overtaken(&client, "/slow/set-again", &cookie).await;
            assert_eq!(seen, (Status::Ok, "5".to_owned()));
            assert_eq!(get(&client, "/read", Some(&cookie)).await.body, "100");
        });
    }

    fn i1_a_set_among_concurrent_writes_loses_none(database: &Database) {
        run(async {
            let clients = [client(database.store()).await, client(database.store()).await];
            let clients = clients.map(Arc::new);
            let cookie = new_cookie(&clients[0]).await;
            let mut visitors = JoinSet::new();
            for visitor in 0..VISITORS {
                let (client, cookie) = (Arc::clone(&clients[visitor % 2]), cookie.clone());
                visitors.spawn(async move {
                    let path = ["/set-next", "/count", "/update-and-set"][visitor % 3];
                    let (mut added, mut refused) = (0, 0);
                    for _ in 0..CALLS {
                        let answer = get(&client, path, Some(&cookie)).await;
                        match (answer.status, path) {
                            (Status::Ok, "/update-and-set") => {
                                let own: u64 = answer.body.parse().unwrap();
                                added += own;
                                refused += 2 - own;
                            }
                            (Status::Ok, _) => added += 1,
                            (Status::Conflict, "/set-next") => refused += 1,
                            (status, _) => panic!("{path}: {status}"),
                        }
                    }
                    (added, refused)
                });
            }
            let (mut added, mut refused) = (1, 0);
            for (own, own_refused) in visitors.join_all().await {
                added += own;
                refused += own_refused;
            }
            assert!(refused > 0, "nothing was concurrent");
            let stored = get(&clients[0], "/read", Some(&cookie)).await.body;
            assert_eq!(stored, added.to_string(), "{refused} were refused");
        });
    }
}
