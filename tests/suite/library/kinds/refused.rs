//! Responses that one kind of session turns into an error, for the other kinds in the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::{get as route, routes};
use rocket_diesel_sessions::store::StoreError;
use rocket_diesel_sessions::{Session, SessionConfig, Sessions};

use super::office::{Staff, with_routes};
use crate::support::Database;
use crate::support::embedded::{Answered, Cart, get, new_cookie, rocket, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::local::figment;

/// Gives the customer a new token, and signs another member of the staff in.
#[route("/rotate-and-login/<user>")]
async fn rotate_and_login(cart: Session<Cart>, staff: Session<Staff>, user: &str) -> Answered {
    cart.rotate().await?;
    staff.login(user).await?;
    Ok("welcome".to_owned())
}

on_each_database! {
    fn i6_a_503_of_one_kind_leaves_the_cookies_of_all(database: &Database) {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = Arc::clone(&is_down);
        let store = HookedStore::new(database.store(), move |call| match call {
            // The end of the session that the login replaces.
            Call::Other if down.load(Ordering::SeqCst) => {
                Err(StoreError::connect("the database", "is away"))
            }
            _ => Ok(()),
        });
        database.add_users(&["ada", "bob"]);
        run(async {
            let (rocket, _) = rocket(store, SessionConfig::default());
            let rocket = rocket
                .configure(figment("debug", ""))
                .attach(Sessions::<Staff>::fairing().named("staff"))
                .mount("/", routes![rotate_and_login]);
            let client = &Client::untracked(with_routes(rocket)).await.unwrap();
            let shop = new_cookie(client).await;
            let staff = get(client, "/staff/login/ada", None).await.cookie().unwrap();
            let both = format!("{shop}; {staff}");

            is_down.store(true, Ordering::SeqCst);
            let answer = get(client, "/rotate-and-login/bob", Some(&both)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
            assert_eq!(answer.values("retry-after"), ["1"]);
            is_down.store(false, Ordering::SeqCst);
            assert_eq!(get(client, "/read", Some(&both)).await.body, "1");
            assert_eq!(get(client, "/staff/who", Some(&both)).await.body, "ada");

            let answer = get(client, "/rotate-and-login/bob", Some(&both)).await;
            assert_eq!(answer.values("set-cookie").len(), 2);
            assert_eq!(get(client, "/read", Some(&both)).await.body, "0");
        });
    }
}
