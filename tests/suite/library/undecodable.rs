//! Data that this version of the application cannot decode: no one is signed out by it, and nothing
//! is lost.

use rocket::http::Status;
use rocket::local::blocking::Client;
use rocket::serde::json::{Value, from_value, json};
use rocket::{Route, get as route, routes};
use rocket_diesel_sessions::{OnUndecodable, Session, SessionError, Sessions, SignedIn, TypedData};
use std::collections::BTreeMap;

use crate::support::Database;
use crate::support::typed::{client, client_of, get, stored};

type Numbers = BTreeMap<String, u64>;
type Lists = BTreeMap<String, Vec<u64>>;

macro_rules! application {
    ($module:ident, $data:ty, $add:expr) => {
        mod $module {
            use super::*;

            #[route("/show")]
            fn show(session: Session<$data>) -> String {
                format!("{:?}", session.data())
            }

            #[route("/add/<name>")]
            async fn add(session: Session<$data>, name: String) -> Result<String, SessionError> {
                let add: fn(&mut $data, String) = $add;
                session.update(move |data| add(data, name.clone())).await?;
                Ok(format!("{:?}", session.data()))
            }

            #[route("/clear")]
            async fn clear(session: Session<$data>) -> Result<(), SessionError> {
                session
                    .set([("z".to_owned(), Default::default())].into())
                    .await
            }

            #[route("/user")]
            fn user(session: SignedIn<$data>) -> String {
                session.user().to_string()
            }

            #[route("/reason")]
            fn reason(session: Session<$data>) -> String {
                session
                    .try_data()
                    .map_or_else(|error| error.to_string(), |_| "none".to_owned())
            }

            #[route("/login/<user>")]
            async fn login(session: Session<$data>, user: &str) -> Result<(), SessionError> {
                session.login(user).await
            }

            #[route("/rotate")]
            async fn rotate(session: Session<$data>) -> Result<(), SessionError> {
                session.rotate().await
            }

            #[route("/logout")]
            async fn logout(session: Session<$data>) -> Result<(), SessionError> {
                session.logout().await
            }

            pub(super) fn routes() -> Vec<Route> {
                routes![show, add, clear, user, reason, login, rotate, logout]
            }
        }
    };
}

application!(numbers, Numbers, |data, name| *data
    .entry(name)
    .or_default() += 1);
application!(lists, Lists, |data, name| data
    .entry(name)
    .or_default()
    .push(7));

/// Makes the session of a user with the data `{"a":1}`.
fn of_ada(numbers: &Client, database: &Database) -> String {
    database.execute(
        "INSERT INTO users (id, username, password_hash, is_admin, created_at, updated_at) \
         VALUES ('ada', 'ada', '', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    );
    let cookie = get(numbers, "/add/a", None).cookie().unwrap();
    get(numbers, "/login/ada", Some(&cookie)).cookie().unwrap()
}

fn numbers(database: &Database) -> Client {
    client::<Numbers>(database, OnUndecodable::Keep, numbers::routes())
}

fn lists(database: &Database, on_undecodable: OnUndecodable) -> Client {
    client::<Lists>(database, on_undecodable, lists::routes())
}

/// Requests a path of a session that keeps its cookie.
fn ask(client: &Client, path: &str, cookie: &str) -> String {
    let answer = get(client, path, Some(cookie));
    assert_eq!(
        (answer.status, answer.header("set-cookie")),
        (Status::Ok, None),
        "{path}"
    );
    answer.body
}

fn versioned<D: TypedData>(
    database: &Database,
    version: u32,
    upgrade: fn(Value, u32) -> Option<D>,
    routes: Vec<Route>,
) -> Client {
    let sessions = Sessions::<D>::fairing().upgrade(version, upgrade);
    client_of(database, OnUndecodable::Keep, sessions, routes)
}

on_each_database! {
    fn undecodable_data_is_put_aside_and_signs_no_one_out(database: &Database) {
        let numbers = numbers(database);
        let cookie = of_ada(&numbers, database);
        let lists = lists(database, OnUndecodable::default());
        assert_eq!(ask(&lists, "/user", &cookie), "ada");
        assert_eq!(ask(&lists, "/show", &cookie), "{}");
        // Reading writes nothing.
        assert_eq!(stored(database), json!({"a": 1}));
        assert_eq!(ask(&lists, "/add/b", &cookie), r#"{"b": [7]}"#);
        assert_eq!(ask(&lists, "/user", &cookie), "ada");
        assert_eq!(stored(database), json!({"b": [7], "$aside": [r#"{"a":1}"#]}));
        // Side by side, each version continues with its own data.
        assert_eq!(ask(&numbers, "/add/a", &cookie), r#"{"a": 2}"#);
        assert_eq!(stored(database), json!({"a": 2, "$aside": [r#"{"b":[7]}"#]}));
        assert_eq!(ask(&lists, "/show", &cookie), r#"{"b": [7]}"#);
        assert_eq!(ask(&lists, "/add/b", &cookie), r#"{"b": [7, 7]}"#);
        assert_eq!(ask(&numbers, "/show", &cookie), r#"{"a": 2}"#);
        ask(&lists, "/clear", &cookie);
        assert_eq!(stored(database), json!({"z": [], "$aside": [r#"{"a":2}"#]}));
        let cookie = get(&lists, "/rotate", Some(&cookie)).cookie().unwrap();
        let cookie = get(&lists, "/login/ada", Some(&cookie)).cookie().unwrap();
        assert_eq!(ask(&lists, "/show", &cookie), r#"{"z": []}"#);
        assert_eq!(get(&lists, "/logout", Some(&cookie)).status, Status::Ok);
        assert_eq!(database.sessions(), 0);
    }

    fn a_text_that_is_not_json_is_put_aside_as_it_is(database: &Database) {
        let numbers = numbers(database);
        let cookie = of_ada(&numbers, database);
        database.execute("UPDATE sessions SET data = 'no \"JSON\"'");
        assert_eq!(ask(&numbers, "/add/a", &cookie), r#"{"a": 1}"#);
        assert_eq!(stored(database), json!({"a": 1, "$aside": ["no \"JSON\""]}));
    }

    fn data_of_a_newer_version_is_not_hidden_by_what_an_older_one_writes(database: &Database) {
        let old = versioned::<Numbers>(database, 1, |_, _| None, numbers::routes());
        let upgrade = |old, version| {
            assert_eq!(version, 1);
            let old: Numbers = from_value(old).ok()?;
            Some(old.into_iter().map(|(name, number)| (name, vec![number])).collect())
        };
        let new = versioned::<Lists>(database, 2, upgrade, lists::routes());
        let cookie = get(&old, "/add/a", None).cookie().unwrap();
        assert_eq!(ask(&new, "/add/a", &cookie), r#"{"a": [1, 7]}"#);
        // The older version cannot decode that, and starts anew beside it.
        assert_eq!(ask(&old, "/add/b", &cookie), r#"{"b": 1}"#);
        assert_eq!(ask(&new, "/show", &cookie), r#"{"a": [1, 7]}"#);
        assert_eq!(ask(&new, "/add/a", &cookie), r#"{"a": [1, 7, 7]}"#);
        assert_eq!(ask(&old, "/add/b", &cookie), r#"{"b": 2}"#);
        assert_eq!(ask(&new, "/show", &cookie), r#"{"a": [1, 7, 7]}"#);
    }

    fn undecodable_data_as_an_error_signs_no_one_out(database: &Database) {
        let numbers = numbers(database);
        let cookie = of_ada(&numbers, database);
        let lists = lists(database, OnUndecodable::Error);
        assert_eq!(ask(&lists, "/user", &cookie), "ada");
        let reason = ask(&lists, "/reason", &cookie);
        assert!(reason.ends_with("cannot be decoded: invalid type at line 1, column 6"), "{reason}");
        for path in ["/show", "/add/b", "/clear"] {
            assert_eq!(get(&lists, path, Some(&cookie)).status, Status::InternalServerError);
        }
        let cookie = get(&lists, "/rotate", Some(&cookie)).cookie().unwrap();
        assert_eq!(stored(database), json!({"a": 1}));
        // A login makes a session that can be used.
        let own = get(&lists, "/login/ada", Some(&cookie)).cookie().unwrap();
        assert_eq!(ask(&lists, "/add/b", &own), r#"{"b": [7]}"#);
        assert_eq!(database.sessions(), 1);
        database.execute(r#"UPDATE sessions SET data = '{"a":1}'"#);
        assert_eq!(get(&lists, "/logout", Some(&own)).status, Status::Ok);
        assert_eq!(database.sessions(), 0);
    }
}
