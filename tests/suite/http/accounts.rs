//! Accounts over the API: registering, signing in and out, and devices.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use chrono::TimeDelta;
use rocket::http::Status;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::SessionStore;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{application, application_of, figment, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Server, Visitor, wait_until};

const DEVICES: &str = "/api/account/sessions";

fn devices(visitor: &mut Visitor<'_>) -> Vec<Value> {
    let answer = visitor.get(DEVICES);
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    answer.json()["sessions"].as_array().unwrap().clone()
}

on_each_database! {
    fn every_device_can_be_listed_and_signed_out_page_by_page(database: &Database) {
        let (client, _) = application(database, "");
        let mut first = registered(&client, "ada");
        let user = first.user_id().as_str().unwrap().to_owned();
        let store = database.store();
        // Newer tokens, more than any page holds.
        let later: Vec<_> = (0..1001).map(|_| new_session(Some(&user))).collect();
        store.create(&later).unwrap();
        let page = |visitor: &mut Visitor<'_>, query: &str| {
            let answer = visitor.get(&format!("/api/account/sessions{query}"));
            assert_eq!(answer.status, Status::Ok, "{query}: {}", answer.body);
            answer.json()
        };
        for (query, limit) in [("", 1000), ("?limit=400", 400)] {
            let (mut ids, mut current, mut next) = (HashSet::new(), 0, String::new());
            for number in 0.. {
                let query = format!(
                    "{}{next}",
                    if query.is_empty() {
                        "?limit=1000"
                    } else {
                        query
                    }
                );
                let list = page(&mut first, &query);
                let sessions = list["sessions"].as_array().unwrap();
                assert!(sessions.len() <= limit + 1);
                let here = sessions
                    .iter()
                    .filter(|session| session["current"] == true)
                    .count();
                assert_eq!(here, usize::from(number == 0));
                current += here;
                ids.extend(
                    sessions
                        .iter()
                        .map(|session| session["id"].as_str().unwrap().to_owned()),
                );
                match list["next"].as_str() {
                    Some(cursor) => next = format!("&after={cursor}"),
                    None => break,
                }
            }
            assert_eq!((ids.len(), current), (1002, 1));
        }
        assert_eq!(
            page(&mut first, "")["sessions"].as_array().unwrap().len(),
            1001
        );
        for wrong in ["?limit=0", "?limit=1001", "?after=x"] {
            let answer = first.get(&format!("/api/account/sessions{wrong}"));
            assert_eq!(answer.status, Status::UnprocessableEntity, "{wrong}");
        }
        // The page links to the earlier ones.
        let html = first.get("/account").body;
        assert!(html.contains("this device"));
        let (_, link) = html.split_once("href=\"/account?after=").unwrap();
        let cursor = link.split_once('"').unwrap().0.to_owned();
        let older = first.get(&format!("/account?after={cursor}"));
        assert_eq!(older.status, Status::Ok);
        let mut forms = older.body.split("action=\"/account/sessions/");
        let id = forms.find_map(|form| form.split_once("/end\">")).unwrap().0.to_owned();
        assert!(!html.contains(&id));
        assert_eq!(
            first.delete(&format!("/api/account/sessions/{id}")).status,
            Status::NoContent
        );
        assert_eq!(
            first.get("/account?after=x").status,
            Status::UnprocessableEntity
        );
    }

    fn i3_registering_and_signing_in_keep_the_data_and_replace_the_token(database: &Database) {
        let (client, _) = application(database, "");
        for how in ["register", "login"] {
            let mut visitor = Visitor::new(&client);
            assert_eq!((visitor.visit(), visitor.visit()), (1, 2));
            let (planted, before) = (visitor.cookie.clone().unwrap(), visitor.session());
            let answer = visitor.enter(how, "Ada", PASSWORD);
            let expected = if how == "register" { Status::Created } else { Status::Ok };
            assert_eq!(answer.status, expected, "{}", answer.body);
            let user = answer.json()["user"].clone();
            assert_eq!(user["username"], "ada");
            let session = visitor.session();
            assert_eq!(session["userId"], user["id"]);
            assert_eq!(session["id"], before["id"]);
            assert_ne!(session["sessionId"], before["sessionId"]);
            assert_eq!(visitor.visit(), 3);
            let mut thief = Visitor::with_cookie(&client, planted);
            assert_eq!(thief.session(), Value::Null, "{how}");
        }
    }

    fn a_username_is_taken_in_all_its_spellings(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "Zoë");
        let before = ada.session();
        for again in ["Zoë", "ZOË", "zoe\u{308}"] {
            // A form sent twice, and another visitor.
            for visitor in [&mut ada, &mut Visitor::new(&client)] {
                let answer = visitor.enter("register", again, PASSWORD);
                assert_eq!(answer.status, Status::Conflict, "{again}: {}", answer.body);
                assert_eq!(answer.json()["error"]["code"], "username_taken");
                assert_eq!(answer.header("set-cookie"), None);
            }
        }
        assert_eq!(ada.session(), before);
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 1);
        let mut other = Visitor::new(&client);
        assert_eq!(other.enter("login", "ZOË", PASSWORD).status, Status::Ok);
    }

    fn signing_out_ends_the_session(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let cookie = ada.cookie.clone().unwrap();
        let answer = ada.send(rocket::http::Method::Post, "/api/auth/logout", None, "");
        assert_eq!((answer.status, &ada.cookie), (Status::NoContent, &None));
        assert_eq!(database.sessions(), 0);
        for mut visitor in [Visitor::new(&client), Visitor::with_cookie(&client, cookie)] {
            let answer = visitor.send(rocket::http::Method::Post, "/api/auth/logout", None, "");
            assert_eq!(answer.status, Status::Unauthorized);
            assert_eq!(answer.json()["error"]["code"], "signed_out");
            assert!(answer.header("www-authenticate").is_some());
            assert_eq!(visitor.get(DEVICES).status, Status::Unauthorized);
        }
    }

    fn a_user_sees_and_ends_devices(database: &Database) {
        let (client, _) = application(database, "");
        let mut laptop = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        let mut tablet = signed_in(&client, "ada");
        let mut bob = registered(&client, "bob");
        let seen = devices(&mut laptop);
        assert_eq!(seen.len(), 3);
        let current: Vec<&Value> = seen.iter().filter(|device| device["current"] == true).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0]["id"], laptop.session()["id"]);
        for key in ["id", "userAgent", "ip", "createdAt", "lastSeenAt", "expiresAt"] {
            assert!(current[0].get(key).is_some(), "{key}: {}", current[0]);
        }
        assert_eq!(current[0].as_object().unwrap().len(), 7, "nothing of the token or the data");

        let id = |visitor: &mut Visitor<'_>| visitor.session()["id"].as_str().unwrap().to_owned();
        let bobs = id(&mut bob);
        for nobodys in [bobs.as_str(), "nothing", "%00", "%27--"] {
            let answer = laptop.delete(&format!("{DEVICES}/{nobodys}"));
            assert_eq!(answer.status, Status::NotFound, "{nobodys}");
        }
        let phones = id(&mut phone);
        assert_eq!(laptop.delete(&format!("{DEVICES}/{phones}")).status, Status::NoContent);
        assert_eq!(phone.session(), Value::Null);
        assert_eq!(laptop.delete(DEVICES).json()["deleted"], 1);
        assert_eq!(tablet.session(), Value::Null);
        assert_eq!(devices(&mut laptop).len(), 1);
        assert_eq!(id(&mut bob), bobs);
        // Ending this device is a sign-out.
        let own = id(&mut laptop);
        assert_eq!(laptop.delete(&format!("{DEVICES}/{own}")).status, Status::NoContent);
        assert_eq!(laptop.cookie, None);
    }

    fn sensitive_actions_need_the_password_again_after_ten_minutes(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        let phones = phone.session()["id"].as_str().unwrap().to_owned();
        clock.advance(TimeDelta::minutes(10) + TimeDelta::milliseconds(1));
        for path in [DEVICES, &format!("{DEVICES}/{phones}"), "/api/account"] {
            let answer = ada.delete(path);
            assert_eq!(answer.status, Status::Forbidden, "{path}");
            assert_eq!(answer.json()["error"]["code"], "reauthentication_required");
        }
        assert_ne!(phone.user_id(), Value::Null);
        // Neither use nor the passage of time makes it recent again. The password does, with a new
        // token.
        ada.visit();
        assert_eq!(ada.delete(DEVICES).status, Status::Forbidden);
        let old = ada.cookie.clone();
        assert_eq!(ada.enter("login", "ada", "a wrong password").status, Status::Unauthorized);
        assert_eq!(ada.delete(DEVICES).status, Status::Forbidden);
        assert_eq!(ada.enter("login", "ada", PASSWORD).status, Status::Ok);
        assert_ne!(ada.cookie, old);
        assert_eq!(ada.visit(), 2);
        assert_eq!(ada.delete(DEVICES).json()["deleted"], 1);
        assert_eq!(phone.session(), Value::Null);
    }

    fn a_deleted_account_leaves_nothing(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        let mut bob = registered(&client, "bob");
        let answer = ada.delete("/api/account");
        assert_eq!((answer.status, &ada.cookie), (Status::NoContent, &None));
        assert_eq!(phone.session(), Value::Null);
        assert_ne!(bob.user_id(), Value::Null);
        assert_eq!(database.sessions(), 1);
        let gone = Visitor::new(&client).enter("login", "ada", PASSWORD);
        assert_eq!(gone.status, Status::Unauthorized);
        // Another user can take the name again.
        registered(&client, "ada");
    }

    fn i2_a_user_deleted_or_disabled_in_sql_is_signed_out_at_once(database: &Database) {
        let (client, _) = application(database, "");
        for sql in [
            "DELETE FROM users WHERE username = 'ada'",
            "UPDATE users SET disabled_at = updated_at WHERE username = 'ada'",
        ] {
            let mut ada = registered(&client, "ada");
            let mut phone = signed_in(&client, "ada");
            let mut bob = Visitor::new(&client);
            bob.visit();
            database.execute(sql);
            for visitor in [&mut ada, &mut phone] {
                assert_eq!(visitor.get(DEVICES).status, Status::Unauthorized, "{sql}");
                assert_eq!(visitor.session(), Value::Null, "{sql}");
            }
            assert_eq!(database.sessions(), 1, "{sql}");
            let refused = ada.enter("login", "ada", PASSWORD);
            assert_eq!(refused.status, Status::Unauthorized, "{sql}");
            assert_eq!(refused.json()["error"]["code"], "wrong_credentials", "{sql}");
            assert_eq!(bob.visit(), 2);
            bob.delete("/api/session");
        }
    }
}

/// Guards load a session before the body has arrived. A client that sends the body slowly must not
/// act for a session that has ended in the meantime.
#[test]
fn i2_a_slow_request_does_nothing_for_a_session_that_has_ended() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    let mut owner = server.client();
    let user = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    assert_eq!(owner.post("/api/auth/register", &user).status, 201);
    for (path, form) in [
        ("/account/delete", "password=correct+horse+battery&x="),
        ("/account/sessions/end-others", "x="),
    ] {
        let mut thief = server.client();
        assert_eq!(thief.post("/api/auth/login", &user).status, 200);
        // All earlier log lines have been written by now.
        server.statements_of(|| {});
        let before = server.log().len();
        let address = server.url().strip_prefix("http://").unwrap();
        let mut slow = TcpStream::connect(address).unwrap();
        let cookie = thief.cookie.clone().unwrap();
        // Rocket reads the beginning of a form before it calls a guard.
        let (form, length) = (format!("{form}{}", "x".repeat(30)), form.len() + 40);
        write!(
            slow,
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
        )
        .unwrap();
        wait_until("its session is loaded", || {
            server.log()[before..].contains("SELECT")
        });
        assert_eq!(owner.delete(DEVICES).json()["deleted"], 1, "{path}");
        write!(slow, "{}", "x".repeat(10)).unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 409"), "{path}: {answer}");
        assert_eq!(owner.get(DEVICES).status, 200, "{path}");
    }
}

#[test]
fn the_limit_of_sessions_ends_the_oldest_or_refuses_the_login() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let limit = "max_sessions_per_user = 1";
    let (client, _) = application(&database, limit);
    let mut first = registered(&client, "ada");
    signed_in(&client, "ada");
    assert_eq!(first.session(), Value::Null);

    let refusing = format!("{limit}\non_session_limit = 'refuse'");
    let (client, _) = application(&database, &refusing);
    let mut second = Visitor::new(&client);
    let answer = second.enter("login", "ada", PASSWORD);
    assert_eq!(answer.status, Status::Conflict);
    assert_eq!(answer.json()["error"]["code"], "too_many_sessions");
    assert_eq!(second.cookie, None);
}

#[test]
fn only_signed_in_users_with_is_admin_may_administer() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    let mut ada = registered(&client, "ada");
    let list = "/api/session/sessions";
    assert_eq!(Visitor::new(&client).get(list).status, Status::Unauthorized);
    assert_eq!(ada.get(list).status, Status::Forbidden);
    assert_eq!(ada.delete(list).status, Status::Forbidden);
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ada'");
    assert_eq!(
        ada.get(list).json()["sessions"].as_array().unwrap().len(),
        1
    );
    database.execute("UPDATE users SET is_admin = FALSE");
    assert_eq!(ada.get(list).status, Status::Forbidden);
}
