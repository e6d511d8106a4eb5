//! The application in this process, with Rocket's local client and a clock that tests move.

use std::sync::Arc;

use rocket::figment::Figment;
use rocket::figment::providers::{Format, Toml};
use rocket::http::{Header, HeaderMap, Method, Status};
use rocket::local::asynchronous;
use rocket::local::blocking::{Client, LocalResponse};
use rocket::serde::json::{Value, json};
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{SessionConfig, SessionKeys};
use rocket_diesel_sessions_app::{self as app, AdminToken, AppConfig, Settings, Stores};

use crate::support::Database;

pub(crate) const SECRET: &str = "the secret that the tests sign their cookies with";
pub(crate) const ADMIN_TOKEN: &str = "the token of the tests' administrators";

/// Returns the application's settings with `sessions` (TOML below `[default.sessions]`).
pub(crate) fn settings(database: &Database, sessions: &str) -> Settings {
    let figment = figment("debug", sessions);
    Settings {
        sessions: SessionConfig::from_figment(&figment).unwrap(),
        app: AppConfig::from_figment(&figment).unwrap(),
        figment,
        database_url: database.url(),
        keys: SessionKeys::parse(SECRET).unwrap(),
        admin_token: AdminToken::new(ADMIN_TOKEN),
    }
}

/// Returns Rocket's configuration with a quiet log and `sessions`.
pub(crate) fn figment(profile: &str, sessions: &str) -> Figment {
    Figment::from(rocket::Config::debug_default())
        .merge(("log_level", "off"))
        .merge(Toml::string(&format!("[default.sessions]\n{sessions}")).nested())
        .select(profile)
}

/// Returns the application on `database`, at a time that stands still.
pub(crate) fn application(database: &Database, sessions: &str) -> (Client, Arc<ManualClock>) {
    let settings = settings(database, sessions);
    application_of(settings, database.store())
}

pub(crate) fn application_of(
    settings: Settings,
    stores: impl Into<Stores>,
) -> (Client, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_now());
    let rocket = app::rocket(settings, stores, clock.clone());
    (Client::untracked(rocket).unwrap(), clock)
}

/// A visitor whose browser keeps the session cookie.
pub(crate) struct Visitor<'c> {
    client: &'c Client,
    pub(crate) cookie: Option<String>,
}

/// The answer to a request.
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl<'c> Visitor<'c> {
    pub(crate) fn new(client: &'c Client) -> Self {
        Self {
            client,
            cookie: None,
        }
    }

    /// Returns a visitor who sends a chosen `Cookie` header.
    pub(crate) fn with_cookie(client: &'c Client, cookie: impl Into<String>) -> Self {
        Self {
            client,
            cookie: Some(cookie.into()),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(Method::Get, path, None, "")
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.send(Method::Delete, path, None, "")
    }

    pub(crate) fn patch(&mut self, path: &str, json: &str) -> Answer {
        self.send(Method::Patch, path, Some("application/json"), json)
    }

    pub(crate) fn post_json(&mut self, path: &str, json: &str) -> Answer {
        self.send(Method::Post, path, Some("application/json"), json)
    }

    /// Registers or signs in over the API.
    pub(crate) fn enter(&mut self, how: &str, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password}).to_string();
        self.post_json(&format!("/api/auth/{how}"), &body)
    }

    /// Returns the id of the user that the visitor is signed in as, or null.
    pub(crate) fn user_id(&mut self) -> Value {
        self.session()["userId"].clone()
    }

    pub(crate) fn post_form(&mut self, path: &str, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.send(Method::Post, path, Some(kind), form)
    }

    pub(crate) fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = self.client.req(method, path).body(body);
        if let Some(content_type) = content_type {
            request.add_header(Header::new("Content-Type", content_type.to_owned()));
        }
        if let Some(cookie) = &self.cookie {
            request.add_header(Header::new("Cookie", cookie.clone()));
        }
        let answer = Answer::from(request.dispatch());
        if answer.header("set-cookie").is_some() {
            self.cookie = answer.cookie();
        }
        answer
    }

    /// Counts a visit.
    pub(crate) fn visit(&mut self) -> u64 {
        let answer = self.get("/api/session/test-session");
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        answer.json()["visitCount"].as_u64().unwrap()
    }

    /// Returns the visitor's session, or null.
    pub(crate) fn session(&mut self) -> Value {
        let answer = self.get("/api/session");
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        answer.json()["session"].clone()
    }
}

impl Answer {
    /// Reads the answer that an asynchronous client got.
    pub(crate) async fn read(response: asynchronous::LocalResponse<'_>) -> Self {
        Self {
            status: response.status(),
            headers: owned(response.headers()),
            body: response.into_string().await.unwrap_or_default(),
        }
    }

    /// Returns `name=value` of the cookie in the answer, or `None` if it sets none or removes it.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookie = self.header("set-cookie")?;
        let pair = cookie.split(';').next().unwrap().to_owned();
        (!cookie.contains("Max-Age=0")).then_some(pair)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Returns the values of all headers with this name.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let has_name = move |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        let named = self.headers.iter().filter(has_name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns the values of all headers with this name, to be compared.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers(name).collect()
    }

    pub(crate) fn json(&self) -> Value {
        rocket::serde::json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Returns the message of a JSON error.
    pub(crate) fn message(&self) -> String {
        let json = self.json();
        assert!(json["error"]["code"].is_string(), "{}", self.body);
        let request_id = json["error"]["requestId"].as_str();
        assert_eq!(request_id, self.header("x-request-id"), "{}", self.body);
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}

impl From<LocalResponse<'_>> for Answer {
    fn from(response: LocalResponse<'_>) -> Self {
        Self {
            status: response.status(),
            headers: owned(response.headers()),
            body: response.into_string().unwrap_or_default(),
        }
    }
}

fn owned(headers: &HeaderMap<'_>) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|header| (header.name.to_string(), header.value.to_string()))
        .collect()
}
