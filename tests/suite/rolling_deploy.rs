//! Two versions of an application side by side: what one wrote, the other neither loses nor
//! breaks on.

use std::sync::Arc;

use rocket::http::{Header, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::{Value, json};
use rocket::serde::{Deserialize, Serialize};
use rocket::{get, routes};
use rocket_diesel_sessions::{
    OnUndecodable, Session, SessionAdmin, SessionConfig, SessionError, SessionKeys, Sessions,
};

use crate::support::local::{Answer, SECRET, figment};
use crate::support::{Database, metric};

/// The type of the release that is being replaced.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Old {
    count: u64,
}

/// The type of the new release: one more field.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct New {
    count: u64,
    tags: Vec<String>,
}

/// A type that can read neither.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde")]
struct Other {
    count: Vec<u64>,
}

#[get("/old")]
async fn old(session: Session<Old>) -> Result<String, SessionError> {
    let counted = session.update(|data| {
        data.count += 1;
        data.count
    });
    Ok(counted.await?.to_string())
}

#[get("/new/<tag>")]
async fn new(session: Session<New>, tag: String) -> Result<String, SessionError> {
    let counted = session.update(move |data| {
        data.count += 1;
        data.tags.push(tag.clone());
        data.count
    });
    Ok(counted.await?.to_string())
}

#[get("/other")]
async fn other(session: Session<Other>) -> Result<String, SessionError> {
    let counted = session.update(|data| {
        data.count.push(1);
        data.count.len()
    });
    Ok(counted.await?.to_string())
}

#[get("/end")]
async fn end(session: Session<Other>) -> Result<&'static str, SessionError> {
    session.destroy().await?;
    Ok("ended")
}

fn client<D: rocket_diesel_sessions::TypedData>(
    database: &Database,
    on_undecodable: OnUndecodable,
    routes: Vec<rocket::Route>,
) -> Client {
    let config = SessionConfig {
        on_undecodable,
        ..SessionConfig::default()
    };
    let sessions = Sessions::<D>::fairing()
        .config(config)
        .keys(SessionKeys::parse(SECRET).unwrap())
        .store(database.store());
    let rocket = rocket::custom(figment("debug", ""))
        .attach(sessions)
        .mount("/", routes);
    Client::untracked(rocket).unwrap()
}

fn get(client: &Client, path: &str, cookie: Option<&str>) -> Answer {
    let mut request = client.get(path.to_owned());
    if let Some(cookie) = cookie {
        request.add_header(Header::new("Cookie", cookie.to_owned()));
    }
    request.dispatch().into()
}

fn stored(database: &Database) -> Value {
    let query = rocket_diesel_sessions::ListSessions {
        now: chrono::Utc::now(),
        after: None,
        user_id: None,
        limit: 10,
    };
    let store: Arc<_> = database.store();
    let mut records = rocket_diesel_sessions::SessionStore::list(&*store, &query).unwrap();
    assert_eq!(records.len(), 1);
    rocket::serde::json::from_str(&records.remove(0).data).unwrap()
}

on_each_database! {
    fn an_older_type_keeps_the_fields_of_a_newer_one(database: &Database) {
        let new = client::<New>(database, OnUndecodable::Fresh, routes![new]);
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let answer = get(&new, "/new/a", None);
        let cookie = answer.cookie().unwrap();
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "2");
        assert_eq!(get(&new, "/new/b", Some(&cookie)).body, "3");
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "4");
        assert_eq!(stored(database), json!({"count": 4, "tags": ["a", "b"]}));
    }

    fn undecodable_data_gives_a_fresh_session_and_stays_as_it_is(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let before = stored(database);
        let other = client::<Other>(database, OnUndecodable::Fresh, routes![other]);
        let answer = get(&other, "/other", Some(&cookie));
        assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "1"));
        let own = answer.cookie().unwrap();
        assert_ne!(own, cookie);
        let admin = other.rocket().state::<SessionAdmin>().unwrap();
        let undecodable = "sessions_missed_total{reason=\"undecodable\"}";
        assert_eq!(metric(admin, undecodable), 1);
        assert_eq!(database.sessions(), 2);
        // The old release, should it come back, finds its session.
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "2");
        assert_eq!(before, json!({"count": 1}));
    }

    fn undecodable_data_goes_when_its_visitor_ends_the_session(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let other = client::<Other>(database, OnUndecodable::Fresh, routes![end]);
        let answer = get(&other, "/end", Some(&cookie));
        assert_eq!((answer.status, answer.cookie()), (Status::Ok, None));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(database.sessions(), 0);
    }

    fn undecodable_data_is_an_error_where_that_is_asked_for(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let other = client::<Other>(database, OnUndecodable::Error, routes![other]);
        let answer = get(&other, "/other", Some(&cookie));
        assert_eq!(answer.status, Status::InternalServerError);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(stored(database), json!({"count": 1}));
    }

    fn data_that_is_no_json_is_never_overwritten(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        database.execute("UPDATE sessions SET data = 'no JSON'");
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "1");
        let kept = "SELECT count(*) AS n FROM sessions WHERE data = 'no JSON'";
        assert_eq!(database.number(kept), 1);
    }
}
