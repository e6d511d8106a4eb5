//! Two versions of an application side by side: neither loses nor fails on data written by the
//! other.

use rocket::http::Status;
use rocket::serde::json::{Value, json};
use rocket::serde::{Deserialize, Serialize};
use rocket::{get, routes};
use rocket_diesel_sessions::{OnUndecodable, Session, SessionAdmin, SessionError};

use crate::support::typed::{client, get, stored};
use crate::support::{Database, metric};

/// The data type of the release that is being replaced.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Old {
    count: u64,
}

/// The data type of the new release, with one more field.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct New {
    count: u64,
    tags: Vec<String>,
}

/// A data type that can decode neither.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde")]
struct Other {
    count: Vec<u64>,
}

/// A release that has renamed one field and retired another.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Renamed {
    visits: Visits,
    #[serde(alias = "tags")]
    labels: Vec<String>,
    #[serde(skip_serializing)]
    name: String,
    first: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Visits {
    #[serde(alias = "count")]
    number: u64,
}

#[get("/renamed/<label>")]
async fn renamed(session: Session<Renamed>, label: String) -> Result<String, SessionError> {
    let seen = session.update(move |data| {
        if !data.name.is_empty() {
            data.first = std::mem::take(&mut data.name);
        }
        data.labels.push(label.clone());
        data.visits.number += 1;
        format!(
            "{} {} {}",
            data.labels.join("+"),
            data.visits.number,
            data.first
        )
    });
    seen.await
}

#[get("/read")]
fn read(session: Session<Other>) -> String {
    session.data().count.len().to_string()
}

#[get("/try")]
fn try_read(session: Session<Other>) -> Result<String, SessionError> {
    Ok(session.try_data()?.count.len().to_string())
}

#[get("/aside")]
fn aside(_session: Session<Other>) -> &'static str {
    "no data asked for"
}

#[get("/replace")]
async fn replace(session: Session<Other>) -> Result<(), SessionError> {
    session.set(Other { count: vec![1] }).await
}

#[get("/login/<user>")]
async fn login(session: Session<Other>, user: &str) -> Result<String, SessionError> {
    session.login(user).await?;
    session.update(|data| data.count.push(1)).await?;
    Ok(session.data().count.len().to_string())
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

    fn undecodable_data_gives_a_fresh_session_and_is_kept(database: &Database) {
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
        // If the old release comes back, it finds its session.
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "2");
        assert_eq!(before, json!({"count": 1}));
    }

    fn undecodable_data_is_deleted_when_its_visitor_ends_the_session(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let other = client::<Other>(database, OnUndecodable::Fresh, routes![end]);
        let answer = get(&other, "/end", Some(&cookie));
        assert_eq!((answer.status, answer.cookie()), (Status::Ok, None));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(database.sessions(), 0);
    }

    fn undecodable_data_is_an_error_if_so_configured(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let other = client::<Other>(database, OnUndecodable::Error, routes![other]);
        let answer = get(&other, "/other", Some(&cookie));
        assert_eq!(answer.status, Status::InternalServerError);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(stored(database), json!({"count": 1}));
    }

    fn an_undecodable_data_error_does_not_lock_the_visitor_out(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        let routes = routes![read, try_read, aside, replace, login, end];
        let other = client::<Other>(database, OnUndecodable::Error, routes);
        for path in ["/read", "/try", "/replace"] {
            let answer = get(&other, path, Some(&cookie));
            assert_eq!(answer.status, Status::InternalServerError, "{path}");
            assert_eq!(answer.header("set-cookie"), None, "{path}");
            assert_eq!(answer.body.is_empty(), path == "/read", "{path}");
        }
        assert_eq!(stored(database), json!({"count": 1}));
        let answer = get(&other, "/aside", Some(&cookie));
        assert_eq!((answer.status, answer.header("set-cookie")), (Status::Ok, None));
        database.execute("INSERT INTO users (id, username, password_hash, is_admin, created_at, \
            updated_at) VALUES ('ada', 'ada', '', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)");
        let answer = get(&other, "/login/ada", Some(&cookie));
        assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "1"));
        let own = answer.cookie().unwrap();
        assert_eq!(get(&other, "/read", Some(&own)).body, "1");
        assert_eq!(get(&other, "/end", Some(&own)).status, Status::Ok);
        assert_eq!(get(&other, "/end", Some(&cookie)).status, Status::Ok);
        assert_eq!(database.sessions(), 0);
    }

    fn a_renamed_field_can_be_written_by_both_versions(database: &Database) {
        let renamed = client::<Renamed>(database, OnUndecodable::Fresh, routes![renamed]);
        let cookie = get(&renamed, "/renamed/a", None).cookie().unwrap();
        // Changes by the older version under the former names, at the top level and below, with a
        // field that neither version knows.
        for raw in [
            r#"{"aaa":[1],"tags":["x"],"visits":{"aab":2,"count":7,"number":1},"labels":["a"]}"#,
            r#"{"labels":["a"],"visits":{"number":1,"count":7,"aab":2},"tags":["x"],"aaa":[1]}"#,
        ] {
            database.execute(&format!("UPDATE sessions SET data = '{raw}'"));
            assert_eq!(get(&renamed, "/renamed/b", Some(&cookie)).body, "a+b 2 ");
            assert_eq!(stored(database), json!({
                "aaa": [1], "visits": {"aab": 2, "number": 2}, "labels": ["a", "b"], "first": ""
            }));
        }
        // A former name is read if it is the only one, and replaced.
        database.execute(r#"UPDATE sessions SET data = '{"zzz":null,"tags":["x"]}'"#);
        assert_eq!(get(&renamed, "/renamed/b", Some(&cookie)).body, "x+b 1 ");
        assert_eq!(stored(database)["tags"], Value::Null);
        assert!(stored(database).get("zzz").is_some());
    }

    fn a_retired_field_is_dropped_by_the_next_write(database: &Database) {
        let renamed = client::<Renamed>(database, OnUndecodable::Fresh, routes![renamed]);
        let cookie = get(&renamed, "/renamed/a", None).cookie().unwrap();
        database.execute(r#"UPDATE sessions SET data = '{"name":"Ada","other":{"name":1}}'"#);
        assert_eq!(get(&renamed, "/renamed/a", Some(&cookie)).body, "a 1 Ada");
        assert_eq!(stored(database), json!({
            "visits": {"number": 1}, "labels": ["a"], "first": "Ada", "other": {"name": 1}
        }));
    }

    fn data_that_is_not_json_is_never_overwritten(database: &Database) {
        let old = client::<Old>(database, OnUndecodable::Fresh, routes![old]);
        let cookie = get(&old, "/old", None).cookie().unwrap();
        database.execute("UPDATE sessions SET data = 'no JSON'");
        assert_eq!(get(&old, "/old", Some(&cookie)).body, "1");
        let kept = "SELECT count(*) AS n FROM sessions WHERE data = 'no JSON'";
        assert_eq!(database.number(kept), 1);
    }
}
