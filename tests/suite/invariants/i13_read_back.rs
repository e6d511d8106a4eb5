//! I13: acknowledged data can be read back by the next request, and changes that change nothing
//! store nothing.

use std::collections::HashSet;

use rocket::http::Status;
use rocket::serde::{Deserialize, Serialize};
use rocket::{get, routes};
use rocket_diesel_sessions::{OnUndecodable, Session, SessionError, SessionKeys, Sessions};

use crate::support::Database;
use crate::support::local::{SECRET, figment};
use crate::support::typed::{client, get, stored};

/// Data of all kinds that serde can write but not read back.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Mixed {
    total: f64,
    tree: Tree,
    #[serde(skip_deserializing)]
    unread: u8,
    shape: Shape,
    names: HashSet<String>,
    discount: Option<f32>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde")]
struct Tree(Vec<Tree>);

impl Tree {
    fn of_depth(depth: usize) -> Self {
        (0..depth).fold(Self::default(), |tree, _| Self(vec![tree]))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "rocket::serde", untagged)]
enum Shape {
    Square {
        side: u8,
    },
    #[serde(rename_all = "camelCase")]
    Box {
        side: u8,
        height: u8,
    },
}

impl Default for Shape {
    fn default() -> Self {
        Self::Square { side: 1 }
    }
}

#[get("/mixed/<what>")]
async fn mixed(session: Session<Mixed>, what: String) -> Result<String, SessionError> {
    let changed = session.update(move |data| match what.as_str() {
        "nan" => data.total = f64::NAN,
        "optional" => data.discount = Some(f32::NAN),
        "half" => data.discount = Some(0.5),
        "infinity" => data.total = f64::INFINITY,
        "deep" => data.tree = Tree::of_depth(200),
        "unread" => data.unread = 1,
        "ambiguous" => data.shape = Shape::Box { side: 2, height: 3 },
        "names" => data.names = (0..50).map(|n| format!("name {n}")).collect(),
        "pi" => data.total = 0.1 + 0.2,
        _ => {}
    });
    changed.await?;
    Ok(format!("{:?}", session.data().total))
}

#[get("/replace/<nothing>")]
async fn replace(session: Session<Mixed>, nothing: bool) -> Result<(), SessionError> {
    let total = if nothing { 0.0 } else { f64::NAN };
    let data = Mixed {
        total,
        ..Mixed::default()
    };
    session.set(data).await
}

#[get("/start")]
async fn start(session: Session<Mixed>) -> Result<String, SessionError> {
    session.start().await?;
    Ok(session.handle().map(String::from).unwrap_or_default())
}

/// A type whose default value cannot be read back: a field is omitted and has no default.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde")]
struct Unreadable {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
}

on_each_database! {
    fn i13_data_that_would_not_be_read_back_is_refused(database: &Database) {
        let client = client::<Mixed>(database, OnUndecodable::Fresh, routes![mixed, replace]);
        let refused = ["/mixed/nan", "/mixed/infinity", "/mixed/optional", "/mixed/deep", "/mixed/unread",
            "/mixed/ambiguous", "/replace/false"];
        for path in refused {
            let answer = get(&client, path, None);
            assert_eq!(answer.status, Status::InternalServerError, "{path}");
            assert_eq!(answer.header("set-cookie"), None, "{path}");
        }
        assert_eq!(database.sessions(), 0);
        let cookie = get(&client, "/mixed/pi", None).cookie().unwrap();
        let before = stored(database);
        for path in refused {
            let answer = get(&client, path, Some(&cookie));
            assert_eq!(answer.status, Status::InternalServerError, "{path}");
        }
        assert_eq!(stored(database), before);
        assert_eq!(get(&client, "/mixed/half", Some(&cookie)).status, Status::Ok);
        // The session is bit for bit unchanged and can still be written.
        assert_eq!(get(&client, "/mixed/names", Some(&cookie)).body, format!("{:?}", 0.1 + 0.2));
        assert_eq!(stored(database)["names"].as_array().unwrap().len(), 50);
    }

    fn i9_a_change_that_changes_nothing_creates_no_session(database: &Database) {
        let routes = routes![mixed, replace, start];
        let client = client::<Mixed>(database, OnUndecodable::Fresh, routes);
        for path in ["/mixed/nothing", "/replace/true"] {
            let answer = get(&client, path, None);
            assert_eq!((answer.status, answer.header("set-cookie")), (Status::Ok, None), "{path}");
        }
        assert_eq!(database.sessions(), 0);
        // Unless `start` asks for one, and then only once.
        let started = get(&client, "/start", None);
        let cookie = started.cookie().unwrap();
        let again = get(&client, "/start", Some(&cookie));
        assert_eq!((again.cookie(), again.body), (None, started.body));
        assert_eq!(database.sessions(), 1);
    }

    fn i13_a_default_value_that_cannot_be_read_back_stops_the_launch(database: &Database) {
        let sessions = Sessions::<Unreadable>::fairing()
            .keys(SessionKeys::parse(SECRET).unwrap())
            .store(database.store());
        let rocket = rocket::custom(figment("debug", "")).attach(sessions);
        let refused = rocket::local::blocking::Client::untracked(rocket).map(drop).unwrap_err();
        assert!(matches!(refused.kind(), rocket::error::ErrorKind::FailedFairings(_)));
    }
}
