//! An application and its tests. `cargo test --example testing` runs them.
//!
//! The application takes its sessions as an argument, so that the tests can pass others.

use rocket::{Build, Rocket, get, launch, post, routes};
use rocket_diesel_sessions::{Session, SessionError, Sessions, SignedIn};

type Cart = Vec<String>;

#[post("/cart/<item>")]
async fn add(session: Session<Cart>, item: &str) -> Result<String, SessionError> {
    let item = item.to_owned();
    let count = session.update(move |cart| {
        cart.push(item.clone());
        cart.len()
    });
    Ok(count.await?.to_string())
}

#[get("/orders")]
fn orders(session: SignedIn<Cart>) -> String {
    format!("the orders of user {}", session.user())
}

fn application(sessions: Sessions<Cart>) -> Rocket<Build> {
    rocket::build()
        .attach(sessions)
        .mount("/", routes![add, orders])
}

#[launch]
fn rocket() -> _ {
    application(Sessions::fairing())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rocket::http::Status;
    use rocket::local::blocking::Client;
    use rocket_diesel_sessions::testing::TestSessions;

    use super::*;

    fn open() -> (Client, TestSessions<Cart>) {
        let (sessions, test) = Sessions::testing();
        (Client::tracked(application(sessions)).unwrap(), test)
    }

    #[test]
    fn a_cart_is_kept_for_a_day_without_activity() {
        let (client, test) = open();
        let add = |item: &str| {
            client
                .post(format!("/cart/{item}"))
                .dispatch()
                .into_string()
        };
        assert_eq!(add("pen").unwrap(), "1");
        test.advance(Duration::from_hours(23));
        assert_eq!(add("ink").unwrap(), "2");
        test.advance(Duration::from_hours(24));
        assert_eq!(test.data::<Cart>(&client), None);
    }

    #[test]
    fn orders_are_for_users() {
        let (client, test) = open();
        assert_eq!(
            client.get("/orders").dispatch().status(),
            Status::Unauthorized
        );
        test.login_as(&client, 7).unwrap();
        let orders = client.get("/orders").dispatch();
        assert_eq!(orders.into_string().unwrap(), "the orders of user 7");
    }
}
