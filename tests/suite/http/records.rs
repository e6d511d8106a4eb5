//! What administrators and users do is recorded with it, whatever becomes of the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rocket::http::{Header, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::{
    EventStore, ListEvents, PasswordChange, SettingsChange, StoreError, UserChange, UserOutcome,
    UserRecord, UserSettings, UserStore,
};
use rocket_diesel_sessions::{DieselStore, UserId};
use rocket_diesel_sessions_app::Stores;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, Answer, Visitor, application_of, figment, settings};
use crate::support::log::released;
use crate::support::{Database, altered, wait_until};

/// A store of users whose answers to changes get lost, or come late.
struct Lossy {
    store: Arc<DieselStore>,
    loses_answers: AtomicBool,
    /// Held by a test while no answer is to come.
    gate: Mutex<()>,
}

impl Lossy {
    fn answer<T>(&self, changed: T) -> Result<T, StoreError> {
        drop(self.gate.lock());
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(StoreError::broken("the answer to COMMIT is lost"));
        }
        Ok(changed)
    }
}

impl UserStore for Lossy {
    fn user(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        self.store.user(id)
    }

    fn user_with_settings(
        &self,
        id: &UserId,
    ) -> Result<Option<(UserRecord, UserSettings)>, StoreError> {
        self.store.user_with_settings(id)
    }

    fn change_settings(&self, id: &UserId, change: &SettingsChange) -> Result<bool, StoreError> {
        self.store.change_settings(id, change)
    }

    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        self.store.user_by_name(username)
    }

    fn users(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        self.store.users(ids)
    }

    fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        self.store.list_users(after, limit)
    }

    fn add_user(&self, user: &UserRecord) -> Result<bool, StoreError> {
        self.store.add_user(user)
    }

    fn change_password(&self, change: &PasswordChange) -> Result<UserOutcome, StoreError> {
        self.answer(self.store.change_password(change)?)
    }

    fn change_user(&self, change: &UserChange) -> Result<UserOutcome, StoreError> {
        self.answer(self.store.change_user(change)?)
    }
}

/// Returns the application where only administrators are admitted, with a lossy store of users.
fn lossy(database: &Database, sessions: &str) -> (Client, Arc<Lossy>) {
    let store = database.store();
    let users = Arc::new(Lossy {
        store: store.clone(),
        loses_answers: AtomicBool::new(false),
        gate: Mutex::default(),
    });
    let stores = Stores {
        users: users.clone(),
        ..Stores::from(store)
    };
    let settings = altered(settings(database, sessions), |settings| {
        settings.figment = figment("release", sessions);
    });
    (application_of(settings, stores).0, users)
}

fn administrator<'c>(client: &'c Client, database: &Database, name: &str) -> Visitor<'c> {
    let visitor = registered(client, name);
    database.execute(&format!(
        "UPDATE users SET is_admin = TRUE WHERE username = '{name}'"
    ));
    visitor
}

fn id(visitor: &mut Visitor<'_>) -> String {
    visitor.user_id().as_str().unwrap().to_owned()
}

/// Returns the stored events that are no sign-ins, newest first, each with its reason and its actor.
fn stored(store: &DieselStore) -> Vec<String> {
    let query = altered(ListEvents::default(), |query| query.limit = 100);
    let mut events = store.events(&query).unwrap();
    events.retain(|event| event.event != "login");
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let shown = events.iter().map(|event| {
        let (reason, actor) = (text(&event.reason), text(&event.actor));
        format!("{} {reason} {actor}", event.event)
    });
    shown.collect()
}

/// Returns what the administrators' token gets.
fn with_token(client: &Client, path: &str) -> Answer {
    let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let answer: Answer = client.get(path.to_owned()).header(token).dispatch().into();
    assert_eq!(answer.status, Status::Ok, "{path}: {}", answer.body);
    answer
}

on_each_database! {
    fn i8_a_change_whose_answer_is_lost_is_recorded_with_who_made_it(database: &Database) {
        let (client, users) = lossy(database, "");
        let mut ruth = administrator(&client, database, "ruth");
        let (ruths, adas) = (id(&mut ruth), id(&mut registered(&client, "ada")));
        let path = format!("/api/admin/users/{adas}");
        // Not yet there: what is written in the background.
        let changes = || {
            let mut events = stored(&users.store);
            events.retain(|event| !event.starts_with("revoked"));
            events
        };
        let mut expected = Vec::new();
        for (body, event) in [
            (r#"{"isAdmin":true}"#, "user_promoted"),
            (r#"{"isAdmin":false}"#, "user_demoted"),
            (r#"{"disabled":true}"#, "user_disabled"),
            (r#"{"disabled":false}"#, "user_enabled"),
        ] {
            users.loses_answers.store(true, Ordering::SeqCst);
            assert_eq!(ruth.patch(&path, body).status, Status::ServiceUnavailable, "{body}");
            expected.insert(0, format!("{event} - {ruths}"));
            assert_eq!(changes(), expected, "{body}");
            users.loses_answers.store(false, Ordering::SeqCst);
            wait_until("the retry says what is so", || ruth.patch(&path, body).status == Status::Ok);
            assert_eq!(changes(), expected, "{body}");
        }
        users.loses_answers.store(true, Ordering::SeqCst);
        assert_eq!(ruth.delete(&path).status, Status::ServiceUnavailable);
        // The user's own events are gone.
        assert_eq!(changes(), [format!("user_deleted {adas} {ruths}")]);
        users.loses_answers.store(false, Ordering::SeqCst);
        wait_until("the retry says so", || ruth.delete(&path).status == Status::NotFound);
    }

    fn i8_a_change_that_outlasts_its_request_is_reported_when_it_is_known(database: &Database) {
        let (client, users) = lossy(database, "timeout = \"300ms\"");
        let mut ruth = administrator(&client, database, "ruth");
        let (ruths, mut ada) = (id(&mut ruth), registered(&client, "ada"));
        let path = format!("/api/admin/users/{}", id(&mut ada));
        let held = users.gate.lock();
        let answer = ruth.patch(&path, r#"{"disabled":true}"#);
        assert_eq!(answer.status, Status::ServiceUnavailable, "{}", answer.body);
        drop(held);
        // Reading writes what waits.
        let expected = [format!("revoked user_disabled {ruths}"), format!("user_disabled - {ruths}")];
        wait_until("the ends of sessions are reported too", || {
            ruth.get("/api/admin/events").status == Status::Ok && stored(&users.store) == expected
        });
    }

    fn i8_a_password_whose_answer_is_lost_is_recorded(database: &Database) {
        let (client, users) = lossy(database, "");
        let mut ada = registered(&client, "ada");
        users.loses_answers.store(true, Ordering::SeqCst);
        let body = format!(r#"{{"currentPassword":"{PASSWORD}","newPassword":"another {PASSWORD}"}}"#);
        assert_eq!(ada.post_json("/api/account/password", &body).status, Status::ServiceUnavailable);
        assert_eq!(stored(&users.store), ["password_changed - -"]);
    }

    fn i8_of_equal_requests_at_once_one_is_recorded(database: &Database) {
        let server = released(database, &[]);
        let mut ada = server.client();
        let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
        assert_eq!(ada.post("/api/auth/register", &body).status, 201);
        let json = ada.get("/api/session").json();
        let id = json["session"]["userId"].as_str().unwrap();
        let address = format!("{}/api/admin/users/{id}", server.url());
        let changes = [
            (r#"{"disabled":true}"#, "user_disabled"),
            (r#"{"disabled":false}"#, "user_enabled"),
            (r#"{"isAdmin":true}"#, "user_promoted"),
        ];
        for (body, event) in changes {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let request = ureq::patch(&address)
                            .header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
                            .header("Content-Type", "application/json");
                        let mut answer = request.send(body).unwrap();
                        let text = answer.body_mut().read_to_string().unwrap();
                        assert_eq!(answer.status().as_u16(), 200, "{text}");
                    });
                }
            });
            let name = format!("{event} - admin_token");
            let events = stored(&database.store());
            assert_eq!(events.iter().filter(|one| **one == name).count(), 1, "{events:?}");
            let log = server.log();
            assert_eq!(log.matches(event).count(), 1, "lines of the audit log: {log}");
        }
    }

    fn a_form_of_deletion_that_is_sent_twice_is_answered_twice_as_done(database: &Database) {
        let server = released(database, &[("ROCKET_APP", "{hashes_at_once=4}")]);
        let mut ada = server.client();
        let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
        assert_eq!(ada.post("/api/auth/register", &body).status, 201);
        let cookie = ada.cookie.unwrap();
        let address = format!("{}/account/delete", server.url());
        let form = format!("password={}", PASSWORD.replace(' ', "+"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let request = ureq::post(&address).config().max_redirects(0).build();
                    let request = request
                        .header("Cookie", &cookie)
                        .header("Accept", "text/html")
                        .header("Content-Type", "application/x-www-form-urlencoded");
                    let answer = request.send(&form).unwrap();
                    assert_eq!(answer.status().as_u16(), 303);
                    let next = answer.headers()["location"].to_str().unwrap();
                    let is_over = next.starts_with("/account-deleted?done=");
                    assert!(is_over || next.starts_with("/login"), "{next}");
                });
            }
        });
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
        assert_eq!(stored(&database.store()).len(), 1);
    }

    fn i8_who_acted_is_named_after_the_account_is_gone(database: &Database) {
        let (client, users) = lossy(database, "");
        let (mut ruth, mut ada) = (administrator(&client, database, "ruth"), registered(&client, "ada"));
        administrator(&client, database, "zoe");
        let (ruths, adas) = (id(&mut ruth), id(&mut ada));
        let bobs = id(&mut registered(&client, "bob"));
        assert_eq!(ruth.patch(&format!("/api/admin/users/{bobs}"), r#"{"isAdmin":true}"#).status, Status::Ok);
        assert_eq!(ada.delete("/api/account").status, Status::NoContent);
        assert_eq!(ruth.delete("/api/account").status, Status::NoContent);
        let expected = [
            format!("user_deleted {ruths} {ruths}"),
            format!("user_deleted {adas} -"),
            format!("user_promoted - {ruths}"),
        ];
        assert_eq!(stored(&users.store), expected);
        let list = with_token(&client, "/api/admin/events").json();
        let events = list["events"].as_array().unwrap().iter();
        let names: Vec<Value> = events
            .filter(|event| event["event"] != "login")
            .map(|event| event["actorName"].clone())
            .collect();
        assert_eq!(names, [Value::from("ruth"), Value::Null, Value::from("ruth")]);
        let browse = |path: &str| {
            let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
            let html = Header::new("Accept", "text/html");
            Answer::from(client.get(path.to_owned()).header(token).header(html).dispatch()).body
        };
        let page = browse(&format!("/admin/events?actor={ruths}"));
        let link = format!("href=\"/admin/events?actor={ruths}\">ruth (deleted)</a>");
        assert_eq!(page.matches(&link).count(), 2, "{page}");
        // Of a user who was no administrator, only the id is left.
        let page = browse("/admin/events?event=user_deleted");
        assert!(page.contains(&adas) && !page.contains(">ada<"), "{page}");
    }

    fn a_user_with_a_reserved_name_goes_on(database: &Database) {
        let (client, _) = lossy(database, "");
        registered(&client, "locale");
        database.execute("UPDATE users SET username = 'local'");
        signed_in(&client, "local");
        for name in ["local", "Command_Line", "admin_token"] {
            let answer = Visitor::new(&client).enter("register", name, PASSWORD);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{name}");
        }
    }
}
