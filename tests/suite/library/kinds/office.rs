//! A shop whose customers and staff have sessions of different kinds.

use std::sync::Arc;

use rocket::local::asynchronous::Client;
use rocket::serde::{Deserialize, Serialize};
use rocket::{Build, Rocket, get as route, routes};
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{
    Attached, Session, SessionConfig, SessionError, SessionKeys, Sessions,
};

use crate::support::Database;
use crate::support::embedded::{Answered, Cart, rocket as shop};
use crate::support::local::{SECRET, figment};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(crate = "rocket::serde", default)]
pub(super) struct Staff {
    desk: u32,
}

#[route("/staff/login/<user>")]
async fn login(session: Session<Staff>, user: &str) -> Answered {
    session.login(user).await?;
    Ok("welcome".to_owned())
}

#[route("/staff/who")]
fn who(session: Session<Staff>) -> String {
    let user = session.user_id();
    user.map_or_else(|| "-".to_owned(), String::from)
}

#[route("/staff/desk")]
async fn desk(session: Session<Staff>) -> Answered {
    let desk = session.update(|staff| {
        staff.desk += 1;
        staff.desk
    });
    Ok(desk.await?.to_string())
}

/// Uses the sessions of both kinds in one request.
#[route("/both/<user>")]
async fn both(cart: Session<Cart>, staff: Session<Staff>, user: &str) -> Answered {
    let count = cart.update(|cart| {
        cart.count += 1;
        cart.count
    });
    let count = count.await?;
    staff.login(user).await?;
    let user = staff.user_id().ok_or(SessionError::Ended)?;
    Ok(format!("{count} {user}"))
}

/// The application, with its clock.
pub(super) struct Office {
    pub(super) client: Client,
    pub(super) clock: Arc<ManualClock>,
}

impl Office {
    /// Opens the application, with the user ada, on a store that is given to the first kind in code.
    pub(super) async fn open(database: &Database, sessions: &str) -> Self {
        let config = SessionConfig::from_figment(&figment("debug", "")).unwrap();
        let (rocket, clock) = shop(database.store(), config);
        database.add_users(&["ada"]);
        let rocket = rocket
            .configure(figment("debug", sessions))
            .attach(Sessions::<Staff>::fairing().named("staff"));
        let client = Client::untracked(with_routes(rocket)).await.unwrap();
        Self { client, clock }
    }

    /// Opens the application with everything from the settings.
    pub(super) async fn by_settings(
        sessions: &str,
        staff_first: bool,
    ) -> Result<Self, Box<rocket::Error>> {
        let keys = || SessionKeys::parse(SECRET).unwrap();
        let shop = Sessions::<Cart>::fairing().keys(keys());
        let staff = Sessions::<Staff>::fairing().named("staff").keys(keys());
        let rocket = rocket::custom(figment("debug", sessions));
        let rocket = if staff_first {
            rocket.attach(staff).attach(shop)
        } else {
            rocket.attach(shop).attach(staff)
        };
        let rocket = rocket.mount("/", routes![count]);
        let client = Client::untracked(with_routes(rocket)).await;
        Ok(Self {
            client: client.map_err(Box::new)?,
            clock: Arc::new(ManualClock::starting_now()),
        })
    }

    /// Opens an application with one kind of session, without a name.
    pub(super) async fn of_one_kind(database: &Database, sessions: &str) -> Client {
        let config = SessionConfig::from_figment(&figment("debug", sessions)).unwrap();
        let (rocket, _) = shop(database.store(), config);
        Client::untracked(rocket).await.unwrap()
    }

    pub(super) fn both(&self) -> (&Attached<Cart>, &Attached<Staff>) {
        let rocket = self.client.rocket();
        (rocket.state().unwrap(), rocket.state().unwrap())
    }
}

#[route("/count")]
async fn count(session: Session<Cart>) -> Answered {
    let count = session.update(|cart| {
        cart.count += 1;
        cart.count
    });
    Ok(count.await?.to_string())
}

pub(super) fn with_routes(rocket: Rocket<Build>) -> Rocket<Build> {
    rocket.mount("/", routes![login, who, desk, both])
}

/// Returns a cookie's value under another name.
pub(super) fn renamed(cookie: &str, name: &str) -> String {
    let (_, value) = cookie.split_once('=').unwrap();
    format!("{name}={value}")
}
