//! Applications whose sessions hold data of a test's own type.

use chrono::Utc;
use rocket::Route;
use rocket::http::Header;
use rocket::local::blocking::Client;
use rocket::serde::json::{Value, from_str};
use rocket_diesel_sessions::store::{ListSessions, SessionStore};
use rocket_diesel_sessions::{OnUndecodable, SessionConfig, SessionKeys, Sessions, TypedData};

use super::local::{Answer, SECRET, figment};
use crate::support::Database;
use crate::support::altered;

/// Returns a client of `routes`, whose sessions contain a `D`.
pub(crate) fn client<D: TypedData>(
    database: &Database,
    on_undecodable: OnUndecodable,
    routes: Vec<Route>,
) -> Client {
    client_of(database, on_undecodable, Sessions::<D>::fairing(), routes)
}

/// Returns a client of `routes` with these sessions.
pub(crate) fn client_of<D: TypedData>(
    database: &Database,
    on_undecodable: OnUndecodable,
    sessions: Sessions<D>,
    routes: Vec<Route>,
) -> Client {
    let config = altered(SessionConfig::default(), |config| {
        config.on_undecodable = on_undecodable;
    });
    let sessions = sessions
        .config(config)
        .keys(SessionKeys::parse(SECRET).unwrap())
        .store(database.store());
    let rocket = rocket::custom(figment("debug", ""))
        .attach(sessions)
        .mount("/", routes);
    Client::untracked(rocket).unwrap()
}

/// Sends a GET request, with a cookie if there is one.
pub(crate) fn get(client: &Client, path: &str, cookie: Option<&str>) -> Answer {
    let mut request = client.get(path.to_owned());
    if let Some(cookie) = cookie {
        request.add_header(Header::new("Cookie", cookie.to_owned()));
    }
    request.dispatch().into()
}

/// Returns the data of the only stored session.
pub(crate) fn stored(database: &Database) -> Value {
    let query = ListSessions::new(Utc::now(), 10);
    let mut records = database.store().list(&query).unwrap();
    assert_eq!(records.len(), 1);
    from_str(&records.remove(0).data).unwrap()
}
