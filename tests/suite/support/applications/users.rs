//! The embedded application with users who sign in.

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::store::LoginSession;
use rocket_diesel_sessions::{SessionConfig, UserSessions};

use super::embedded::{self, get};
use crate::support::Database;
use crate::support::altered;
use crate::support::sessions::new_session;

/// Returns a client of an application whose database has the users ada and bob.
pub(crate) async fn client(database: &Database, config: SessionConfig) -> Client {
    let client = embedded::client(database.store(), config).await;
    database.add_users(&["ada", "bob"]);
    client
}

pub(crate) fn user_sessions(client: &Client) -> &UserSessions {
    client.rocket().state::<UserSessions>().unwrap()
}

/// Returns a login with the user's name as the password, by a visitor without a session.
pub(crate) fn login_for(user: &str) -> LoginSession {
    let login = LoginSession::new(user, new_session(None));
    altered(login, |login| login.password_hash = Some(user.to_owned()))
}

pub(crate) fn login_of_ada(limit: u32) -> LoginSession {
    let mut login = login_for("ada");
    login.limit.max = limit;
    login
}

/// Signs in without a session and returns the cookie.
pub(crate) async fn signed_in(client: &Client, user: &str) -> String {
    let answer = get(client, &format!("/login/{user}"), None).await;
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    answer.cookie().unwrap()
}

/// Returns the user to whom a cookie belongs.
pub(crate) async fn user(client: &Client, cookie: &str) -> String {
    get(client, "/user", Some(cookie)).await.body
}
