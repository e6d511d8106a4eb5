//! `/api/admin`: users, events and maintenance.

use chrono::TimeDelta;
use rocket::http::{ContentType, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::SessionStore;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{
    ADMIN_TOKEN, Answer, Visitor, application, application_of, figment, settings,
};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, altered};

/// Returns the application where only administrators are admitted, and an administrator.
fn closed(database: &Database, sessions: &str) -> Client {
    let settings = altered(settings(database, sessions), |settings| {
        settings.figment = figment("release", sessions);
    });
    application_of(settings, database.store()).0
}

fn administrator<'c>(client: &'c Client, database: &Database) -> Visitor<'c> {
    let visitor = registered(client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    visitor
}

/// Sends a request with the administrators' token.
fn with_token(client: &Client, method: Method, path: &str, json: &str) -> Answer {
    let request = client
        .req(method, path.to_owned())
        .header(ContentType::JSON);
    let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    request.header(token).body(json).dispatch().into()
}

fn get(client: &Client, path: &str) -> Value {
    let answer = with_token(client, Method::Get, path, "");
    assert_eq!(answer.status, Status::Ok, "{path}: {}", answer.body);
    answer.json()
}

fn names(list: &Value) -> Vec<&str> {
    let users = list["users"].as_array().unwrap().iter();
    users
        .map(|user| user["username"].as_str().unwrap())
        .collect()
}

/// Returns the events, each with its actor.
fn events(client: &Client, query: &str) -> Vec<String> {
    let list = get(client, &format!("/api/admin/events{query}"));
    let text = |event: &Value| {
        let part = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", part("event"), part("reason"), part("actor"))
    };
    list["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

const ROUTES: [(Method, &str, &str); 9] = [
    (Method::Get, "/api/admin/users", ""),
    (Method::Get, "/api/admin/users/x", ""),
    (Method::Patch, "/api/admin/users/x", r#"{"disabled":true}"#),
    (Method::Delete, "/api/admin/users/x", ""),
    (Method::Delete, "/api/admin/users/x/sessions", ""),
    (Method::Get, "/api/admin/events", ""),
    (Method::Post, "/api/admin/sweep", ""),
    (Method::Get, "/api/admin/sweeps", ""),
    (Method::Get, "/api/admin/settings", ""),
];

on_each_database! {
    fn only_administrators_are_admitted_and_changes_need_a_recent_password(database: &Database) {
        let settings = altered(settings(database, ""), |settings| {
            settings.figment = figment("release", "");
        });
        let (client, clock) = application_of(settings, database.store());
        let (mut ruth, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        for (method, path, body) in ROUTES {
            let kind = (!body.is_empty()).then_some("application/json");
            let stranger = Visitor::new(&client).send(method, path, kind, body);
            assert_eq!(stranger.status, Status::Unauthorized, "{method} {path}");
            assert_eq!(ada.send(method, path, kind, body).status, Status::Forbidden, "{method} {path}");
            let answer = with_token(&client, method, path, body);
            assert!(matches!(answer.status.code, 200 | 404), "{method} {path}: {}", answer.body);
        }
        clock.advance(TimeDelta::minutes(11));
        for (method, path, body) in ROUTES {
            let kind = (!body.is_empty()).then_some("application/json");
            let answer = ruth.send(method, path, kind, body);
            let needs_password = path.contains("/x") && method != Method::Get;
            assert_eq!(answer.status == Status::Forbidden, needs_password, "{method} {path}");
            if needs_password {
                assert_eq!(answer.json()["error"]["code"], "reauthentication_required");
            }
        }
        assert_eq!(ruth.enter("login", "ruth", PASSWORD).status, Status::Ok);
        assert_eq!(ruth.delete("/api/admin/users/x").status, Status::NotFound);
    }

    fn users_are_listed_with_their_sign_ins_and_found_by_a_part_of_the_name(database: &Database) {
        let client = closed(database, "");
        let mut ruth = administrator(&client, database);
        for name in ["ada", "adam", "canada", "bob"] {
            registered(&client, name);
        }
        signed_in(&client, "ada");
        database.execute("UPDATE users SET disabled_at = created_at WHERE username = 'bob'");
        let list = ruth.get("/api/admin/users").json();
        assert_eq!(names(&list), ["ada", "adam", "bob", "canada", "ruth"]);
        assert_eq!(list["next"], Value::Null);
        let ada = &list["users"][0];
        assert_eq!((&ada["sessions"], &ada["isAdmin"]), (&Value::from(2), &Value::from(false)));
        assert!(ada["lastSignInAt"].is_string(), "{ada}");
        assert!(ada.get("passwordHash").is_none());
        let id = ada["id"].as_str().unwrap();
        assert_eq!(get(&client, &format!("/api/admin/users/{id}"))["user"], *ada);
        for (query, expected) in [
            ("?q=ada", vec!["ada", "adam", "canada"]),
            ("?q=%20ADA%20", vec!["ada", "adam", "canada"]),
            ("?q=nobody", vec![]),
            ("?q=%25", vec![]),
            ("?filter=administrators", vec!["ruth"]),
            ("?filter=disabled", vec!["bob"]),
            ("?filter=disabled&q=ada", vec![]),
        ] {
            assert_eq!(names(&get(&client, &format!("/api/admin/users{query}"))), expected, "{query}");
        }
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&client, &format!("/api/admin/users?q=ada&limit=1{after}"));
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["ada", "adam", "canada"]);
        for query in ["?limit=0", "?limit=1001", "?filter=x", "?filter=", "?after=ada", "?after="] {
            let answer = with_token(&client, Method::Get, &format!("/api/admin/users{query}"), "");
            assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
        }
        assert_eq!(names(&get(&client, "/api/admin/users?after=c:a%00")), [""; 0]);
        for id in ["nobody", "a%00b"] {
            let answer = with_token(&client, Method::Get, &format!("/api/admin/users/{id}"), "");
            assert_eq!(answer.status, Status::NotFound, "{id}");
        }
    }

    fn users_are_changed_and_it_is_recorded_who_did_it(database: &Database) {
        let client = closed(database, "");
        let (mut ruth, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        let ruths_id = ruth.user_id().as_str().unwrap().to_owned();
        let id = ada.user_id().as_str().unwrap().to_owned();
        let path = format!("/api/admin/users/{id}");
        let user = ruth.patch(&path, r#"{"isAdmin":true}"#).json()["user"].clone();
        assert_eq!(user["isAdmin"], true);
        // A change that changes nothing leaves no trace.
        assert_eq!(ruth.patch(&path, r#"{"isAdmin":true,"disabled":false}"#).status, Status::Ok);
        let both = ruth.patch(&path, r#"{"isAdmin":false,"disabled":true}"#).json()["user"].clone();
        assert_eq!(both["isAdmin"], false);
        assert!(both["disabledAt"].is_string() && both["sessions"] == 0, "{both}");
        assert_eq!(ada.session(), Value::Null);
        assert_eq!(ruth.patch(&path, r#"{"disabled":false}"#).json()["user"]["disabledAt"], Value::Null);
        let expected = ["user_enabled -", "revoked user_disabled", "user_disabled -", "user_demoted -", "user_promoted -"];
        let expected = expected.map(|event| format!("{event} {ruths_id}"));
        let seen = events(&client, &format!("?user={id}&actor={ruths_id}"));
        assert_eq!(seen, expected);
        assert_eq!(events(&client, "?event=user_disabled"), expected[2..3]);
        for body in ["{}", "[]", r#"{"isAdmin":1}"#, r#"{"is_admin":true}"#, r#"{"isAdmin":true,"x":1}"#] {
            let answer = ruth.patch(&path, body);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{body}: {}", answer.body);
        }
        assert_eq!(ruth.patch(&path, "{").status, Status::BadRequest);
        let answer = ruth.patch(&format!("{path}?x=1"), r#"{"disabled":true}"#);
        assert_eq!(answer.status, Status::UnprocessableEntity, "{}", answer.body);
        let own = format!("/api/admin/users/{ruths_id}");
        for body in [r#"{"isAdmin":false}"#, r#"{"disabled":true}"#] {
            let answer = ruth.patch(&own, body);
            assert_eq!(answer.status, Status::Conflict, "{}", answer.body);
            assert_eq!(answer.json()["error"]["code"], "last_administrator");
        }
        assert_eq!(ruth.delete(&own).status, Status::Conflict);
    }

    fn to_sign_a_user_out_everywhere_is_one_recorded_act(database: &Database) {
        let client = closed(database, "");
        let (mut ada, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        let mut bob = registered(&client, "bob");
        let id = ada.user_id().as_str().unwrap().to_owned();
        let path = format!("/api/admin/users/{id}/sessions");
        let ended = with_token(&client, Method::Delete, &path, "");
        assert_eq!((ended.status, ended.json()["deleted"].as_u64()), (Status::Ok, Some(2)));
        assert!(ada.session().is_null() && phone.session().is_null() && !bob.session().is_null());
        let again = with_token(&client, Method::Delete, &path, "");
        assert_eq!(again.json()["deleted"], 0);
        let expected = [
            "signed_out_everywhere 2 sessions admin_token",
            "revoked signed_out_everywhere admin_token",
            "revoked signed_out_everywhere admin_token",
        ];
        assert_eq!(events(&client, &format!("?user={id}&actor=admin_token")), expected);
        let list = get(&client, "/api/admin/events?event=signed_out_everywhere");
        let act = &list["events"][0];
        assert_eq!((&act["session"], act["userId"].as_str()), (&Value::Null, Some(&*id)));
        let revoked = get(&client, "/api/admin/events?event=revoked");
        assert_eq!(revoked["events"][0]["requestId"], act["requestId"], "they belong together");
        // The older address does the same.
        signed_in(&client, "ada");
        let path = format!("/api/session/sessions?user={id}");
        assert_eq!(with_token(&client, Method::Delete, &path, "").json()["deleted"], 1);
        assert_eq!(events(&client, "?event=signed_out_everywhere").len(), 2);
        let path = "/api/admin/users/nobody/sessions";
        assert_eq!(with_token(&client, Method::Delete, path, "").status, Status::NotFound);
    }

    fn a_deletion_is_recorded_although_the_users_own_events_go(database: &Database) {
        let client = closed(database, "");
        let mut ada = registered(&client, "ada");
        let id = ada.user_id().as_str().unwrap().to_owned();
        let path = format!("/api/admin/users/{id}");
        assert_eq!(with_token(&client, Method::Delete, &path, "").status, Status::NoContent);
        assert_eq!(with_token(&client, Method::Delete, &path, "").status, Status::NotFound);
        assert!(ada.session().is_null());
        assert_eq!(events(&client, ""), [format!("user_deleted {id} admin_token")]);
        with_token(&client, Method::Delete, "/api/session/sessions", "");
        assert_eq!(events(&client, "?event=sessions_cleared"), ["sessions_cleared 0 sessions admin_token"]);
    }

    fn events_have_pages_and_say_whether_they_are_recorded(database: &Database) {
        let client = closed(database, "");
        for _ in 0..3 {
            Visitor::new(&client).enter("register", "ada", PASSWORD);
            signed_in(&client, "ada");
        }
        let first = get(&client, "/api/admin/events?limit=3");
        assert_eq!(first["recorded"], true);
        let next = first["next"].as_str().unwrap();
        let rest = get(&client, &format!("/api/admin/events?limit=3&after={next}"));
        assert_eq!((rest["events"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
        for query in ["?limit=0", "?after=x", "?user=", "?event=a&event=b"] {
            let answer = with_token(&client, Method::Get, &format!("/api/admin/events{query}"), "");
            assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
        }
        for query in ["?user=a%00b", "?event=a%00b", "?actor=a%00b", "?user=nobody"] {
            assert_eq!(events(&client, query), [""; 0], "{query}");
        }
        drop(client);
        let silent = closed(database, "events_retention = \"0s\"");
        let none = get(&silent, "/api/admin/events");
        assert_eq!((&none["recorded"], none["events"].as_array().unwrap().len()), (&Value::from(false), 0));
    }

    fn expired_sessions_are_swept_and_the_sweeps_are_listed(database: &Database) {
        let client = closed(database, "");
        let expired = altered(new_session(None), |new| {
            new.now -= TimeDelta::days(60);
            new.expires_at = new.now + TimeDelta::days(1);
            new.absolute_expires_at = new.expires_at;
        });
        database.store().create(&[expired]).unwrap();
        let swept = with_token(&client, Method::Post, "/api/admin/sweep", "");
        assert_eq!((swept.status, swept.json()["deleted"].as_u64()), (Status::Ok, Some(1)));
        assert_eq!(with_token(&client, Method::Post, "/api/admin/sweep", "").json()["deleted"], 0);
        let list = get(&client, "/api/admin/sweeps");
        let deleted = |sweep: &Value| sweep["deleted"].as_u64();
        let sweeps = list["sweeps"].as_array().unwrap();
        assert_eq!(sweeps.iter().filter_map(deleted).sum::<u64>(), 1, "{list}");
        assert!(sweeps[0]["seconds"].is_f64() && sweeps[0]["error"].is_null(), "{list}");
        let other = with_token(&client, Method::Post, "/api/admin/sweep?x", "");
        assert_eq!(other.status, Status::UnprocessableEntity);
    }
}

#[test]
fn i8_settings_are_shown_with_their_source_and_without_secrets() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "idle_timeout = \"2h\"");
    let list = get(&client, "/api/admin/settings");
    let settings = list["settings"].as_array().unwrap();
    let of = |key: &str| {
        settings
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap()
    };
    assert_eq!(of("sessions.idle_timeout")["value"], "2h");
    assert_eq!(of("sessions.max_sessions_per_user")["source"], "default");
    let text = list.to_string();
    assert!(
        !text.contains(ADMIN_TOKEN) && !text.contains("sign their cookies"),
        "{text}"
    );
}
