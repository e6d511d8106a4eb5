//! Three generations of a data type, side by side and one after the other, and data that cannot be
//! decoded.

use rocket::http::Status;
use rocket::local::blocking::Client;
use rocket::serde::json::{Json, Value, from_str, from_value, json};
use rocket::serde::{Deserialize, Serialize};
use rocket::{Route, get as route, routes};
use rocket_diesel_sessions::{
    OnUndecodable, Session, SessionData, SessionError, Sessions, TypedData,
};
use serde::de::IgnoredAny;
use std::sync::Arc;

use crate::support::Database;
use crate::support::typed::{client_of, get, stored};

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct One {
    name: String,
    visits: u32,
    cart: Vec<String>,
}

/// Splits `name` and renames `visits`.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Two {
    first: String,
    last: String,
    #[serde(alias = "visits")]
    count: u32,
    cart: Vec<String>,
}

/// Groups `first` and `last`, replaces `cart`, and retires what the first generation had.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Three {
    person: Person,
    count: u32,
    lines: Vec<Line>,
    #[serde(skip_serializing)]
    cart: Vec<String>,
    #[serde(skip_serializing)]
    name: IgnoredAny,
    #[serde(skip_serializing)]
    visits: IgnoredAny,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Person {
    first: String,
    last: String,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "rocket::serde")]
struct Line {
    item: String,
    pieces: u32,
}

impl SessionData for One {}

impl SessionData for Two {
    const VERSION: u32 = 1;

    fn upgrade(old: Value, version: u32) -> Option<Self> {
        assert_eq!(version, 0);
        let name = old.get("name").and_then(Value::as_str).unwrap_or_default();
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        let (first, last) = (first.to_owned(), last.to_owned());
        let two: Self = from_value(old).ok()?;
        Some(Self { first, last, ..two })
    }
}

impl SessionData for Three {
    const VERSION: u32 = 2;

    fn upgrade(old: Value, version: u32) -> Option<Self> {
        let two: Two = match version {
            0 => Two::upgrade(old, 0)?,
            _ => from_value(old).ok()?,
        };
        let (first, last) = (two.first, two.last);
        let line = |item| Line { item, pieces: 1 };
        Some(Self {
            person: Person { first, last },
            count: two.count,
            lines: two.cart.into_iter().map(line).collect(),
            ..Self::default()
        })
    }
}

/// What the routes of all generations do.
trait Generation: SessionData {
    fn visit(&mut self);
    fn rename(&mut self, first: &str);
    fn add(&mut self, item: String);
}

impl Generation for One {
    fn visit(&mut self) {
        self.visits += 1;
    }

    fn rename(&mut self, first: &str) {
        self.name = format!("{first} Lovelace");
    }

    fn add(&mut self, item: String) {
        self.cart.push(item);
    }
}

impl Generation for Two {
    fn visit(&mut self) {
        self.count += 1;
    }

    fn rename(&mut self, first: &str) {
        first.clone_into(&mut self.first);
    }

    fn add(&mut self, item: String) {
        self.cart.push(item);
    }
}

impl Generation for Three {
    fn visit(&mut self) {
        self.count += 1;
    }

    fn rename(&mut self, first: &str) {
        first.clone_into(&mut self.person.first);
    }

    fn add(&mut self, item: String) {
        self.lines.push(Line { item, pieces: 2 });
    }
}

async fn change<D: Generation>(
    session: Session<D>,
    what: &str,
    with: &str,
) -> Result<Json<Arc<D>>, SessionError> {
    let (what, with) = (what.to_owned(), with.to_owned());
    let changed = session.update(move |data| match what.as_str() {
        "visit" => data.visit(),
        "rename" => data.rename(&with),
        _ => data.add(with.clone()),
    });
    changed.await?;
    Ok(Json(session.data()))
}

macro_rules! generation {
    ($module:ident, $type:ty) => {
        mod $module {
            use super::*;

            #[route("/show")]
            fn show(session: Session<$type>) -> Json<Arc<$type>> {
                Json(session.data())
            }

            #[route("/change/<what>/<with>")]
            async fn change(
                session: Session<$type>,
                what: &str,
                with: &str,
            ) -> Result<Json<Arc<$type>>, SessionError> {
                super::change(session, what, with).await
            }

            pub(super) fn routes() -> Vec<Route> {
                routes![show, change]
            }
        }
    };
}

generation!(one, One);
generation!(two, Two);
generation!(three, Three);

fn served<D: SessionData>(database: &Database, routes: Vec<Route>) -> Client {
    let sessions = Sessions::<D>::fairing().versioned();
    client_of(database, OnUndecodable::Error, sessions, routes)
}

/// Requests a path and returns the data as the generation shows it.
fn ask(client: &Client, path: &str, cookie: &str) -> Value {
    let answer = get(client, path, Some(cookie));
    assert_eq!(answer.status, Status::Ok, "{path}");
    assert_eq!(answer.header("set-cookie"), None, "{path}");
    from_str(&answer.body).unwrap()
}

/// Makes a session of the first generation.
fn of_one(one: &Client) -> String {
    let cookie = get(one, "/change/rename/Ada", None).cookie().unwrap();
    ask(one, "/change/visit/now", &cookie);
    ask(one, "/change/add/tea", &cookie);
    cookie
}

on_each_database! {
    fn the_first_and_the_second_generation_share_a_session(database: &Database) {
        let one = served::<One>(database, one::routes());
        let two = served::<Two>(database, two::routes());
        let cookie = of_one(&one);
        let first = json!({"name": "Ada Lovelace", "visits": 1, "cart": ["tea"]});
        assert_eq!(stored(database), first);
        // Reading upgrades nothing in the row.
        let upgraded = json!({"first": "Ada", "last": "Lovelace", "count": 1, "cart": ["tea"]});
        assert_eq!(ask(&two, "/show", &cookie), upgraded);
        assert_eq!(stored(database), first);
        // The first write does, once. What the first generation needs stays.
        ask(&two, "/change/rename/Augusta", &cookie);
        assert_eq!(stored(database), json!({
            "$version": 1, "first": "Augusta", "last": "Lovelace", "count": 1, "cart": ["tea"],
            "name": "Ada Lovelace"
        }));
        ask(&one, "/change/add/milk", &cookie);
        assert_eq!(ask(&one, "/change/visit/now", &cookie)["visits"], 1);
        assert_eq!(stored(database)["$version"], 1);
        assert_eq!(ask(&two, "/show", &cookie), json!({
            "first": "Augusta", "last": "Lovelace", "count": 1, "cart": ["tea", "milk"]
        }));
        ask(&two, "/change/visit/now", &cookie);
        // Rolled back.
        assert_eq!(ask(&one, "/change/rename/Byron", &cookie)["cart"], json!(["tea", "milk"]));
        // And forward again: the visitor's change is not undone.
        let again = ask(&two, "/change/visit/now", &cookie);
        assert_eq!((&again["first"], &again["count"]), (&json!("Augusta"), &json!(3)));
        // A session that began with the second generation.
        let cookie = get(&two, "/change/add/tea", None).cookie().unwrap();
        assert_eq!(ask(&one, "/change/add/milk", &cookie)["cart"], json!(["tea", "milk"]));
        assert_eq!(ask(&two, "/show", &cookie)["cart"], json!(["tea", "milk"]));
    }

    fn the_second_and_the_third_generation_share_a_session(database: &Database) {
        let one = served::<One>(database, one::routes());
        let two = served::<Two>(database, two::routes());
        let three = served::<Three>(database, three::routes());
        let cookie = of_one(&one);
        ask(&two, "/change/rename/Augusta", &cookie);
        let tea = json!({"item": "tea", "pieces": 1});
        let upgraded = json!({
            "person": {"first": "Augusta", "last": "Lovelace"}, "count": 1, "lines": [tea]
        });
        assert_eq!(ask(&three, "/show", &cookie), upgraded);
        // The write removes what the type has retired, and keeps what it does not know.
        ask(&three, "/change/visit/now", &cookie);
        assert_eq!(stored(database), json!({
            "$version": 2, "person": upgraded["person"], "count": 2, "lines": [tea],
            "first": "Augusta", "last": "Lovelace"
        }));
        // The second generation goes on beside it, and lowers no version.
        assert_eq!(ask(&two, "/change/add/milk", &cookie), json!({
            "first": "Augusta", "last": "Lovelace", "count": 2, "cart": ["milk"]
        }));
        assert_eq!(stored(database)["$version"], 2);
        ask(&three, "/change/rename/Byron", &cookie);
        // What was retired is gone again and does not come back.
        let row = stored(database);
        assert_eq!((row.get("cart"), row.get("name"), &row["$version"]), (None, None, &json!(2)));
        assert_eq!(ask(&three, "/show", &cookie), json!({
            "person": {"first": "Byron", "last": "Lovelace"}, "count": 2, "lines": [tea]
        }));
        // Rolled back, step by step.
        assert_eq!(ask(&two, "/change/visit/now", &cookie)["count"], 3);
        assert_eq!(ask(&one, "/show", &cookie)["name"], "");
        ask(&one, "/change/rename/Ada", &cookie);
        assert_eq!(stored(database)["$version"], 2);
        assert_eq!(ask(&two, "/show", &cookie)["first"], "Augusta");
        assert_eq!(ask(&three, "/show", &cookie)["person"]["first"], "Byron");
    }

    fn a_generation_can_be_left_out(database: &Database) {
        let one = served::<One>(database, one::routes());
        let cookie = of_one(&one);
        // A field of a version that is no longer known, below the top level too.
        database.execute(r#"UPDATE sessions SET data = '{"name":"Ada Lovelace","visits":1,
            "cart":["tea"],"person":{"title":"Countess"},"campaign":[1]}'"#);
        let three = served::<Three>(database, three::routes());
        ask(&three, "/change/add/milk", &cookie);
        assert_eq!(stored(database), json!({
            "$version": 2, "person": {"first": "Ada", "last": "Lovelace", "title": "Countess"},
            "count": 1, "campaign": [1],
            "lines": [{"item": "tea", "pieces": 1}, {"item": "milk", "pieces": 2}]
        }));
    }
}

#[route("/count")]
async fn count(session: Session<u64>) -> Result<String, SessionError> {
    session.update(|count| *count += 1).await?;
    Ok(session.data().to_string())
}

#[route("/push")]
async fn push(session: Session<Vec<u64>>) -> Result<String, SessionError> {
    let pushed = session.update(|counts| {
        counts.push(1);
        counts.len()
    });
    Ok(pushed.await?.to_string())
}

#[route("/nothing")]
async fn nothing(session: Session<Two>) -> Result<(), SessionError> {
    session.update(|_| ()).await
}

#[route("/set-default")]
async fn set_default(session: Session<Two>) -> Result<(), SessionError> {
    session.set(Two::default()).await
}

#[route("/begin")]
async fn begin(session: Session<Two>) -> Result<(), SessionError> {
    session.start().await
}

fn unversioned<D: TypedData>(database: &Database, routes: Vec<Route>) -> Client {
    client_of(
        database,
        OnUndecodable::Error,
        Sessions::<D>::fairing(),
        routes,
    )
}

on_each_database! {
    fn data_that_is_no_object_can_have_versions(database: &Database) {
        let old = unversioned::<u64>(database, routes![count]);
        let cookie = get(&old, "/count", None).cookie().unwrap();
        assert_eq!(stored(database), json!(1));
        let upgrade = |old: Value, _| Some(vec![old.as_u64()?]);
        let sessions = Sessions::<Vec<u64>>::fairing().upgrade(3, upgrade);
        let new = client_of(database, OnUndecodable::Error, sessions, routes![push]);
        assert_eq!(get(&new, "/push", Some(&cookie)).body, "2");
        assert_eq!(stored(database), json!({"$data": [1, 1], "$version": 3}));
        assert_eq!(get(&new, "/push", Some(&cookie)).body, "3");
        // An instance of the type before its first version.
        let first = unversioned::<Vec<u64>>(database, routes![push]);
        assert_eq!(get(&first, "/push", Some(&cookie)).body, "4");
        assert_eq!(stored(database), json!({"$data": [1, 1, 1, 1], "$version": 3}));
    }
    fn i9_a_change_to_the_default_makes_no_session_whatever_the_version(database: &Database) {
        let sessions = Sessions::<Two>::fairing().versioned();
        let routes = routes![nothing, set_default, begin];
        let client = client_of(database, OnUndecodable::Error, sessions, routes);
        for path in ["/nothing", "/set-default"] {
            let answer = get(&client, path, None);
            assert_eq!((answer.status, answer.cookie()), (Status::Ok, None), "{path}");
        }
        assert_eq!(database.sessions(), 0);
        assert!(get(&client, "/begin", None).cookie().is_some());
        assert_eq!(stored(database)["$version"], 1);
    }
}
