//! The deletion of the account.

use rocket::http::Status;
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::{SessionAdmin, UserSessions};

use super::PATH;
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};

/// What is deleted.
const ALL: &str = "Your name, your password, your settings and all your sessions are deleted at once, and \
                   every device is signed out. This cannot be undone.";

/// What is left of an administrator.
const RECORD: &str = "Your name stays in the record of what you did as an administrator, for as long as \
                      that is kept.";

/// The question before the account is deleted. It is always asked, even if the password was just given.
async fn question(signed_in: &SignedIn, users: &Users) -> Result<Question<'static>, ApiError> {
    let is_admin = signed_in.user(users).await?.is_admin;
    Ok(Question {
        title: "Delete your account",
        text: if is_admin {
            format!("{ALL} {RECORD}")
        } else {
            ALL.to_owned()
        },
        action: "/account/delete",
        fields: Vec::new(),
        verb: "Delete my account permanently",
        is_final: true,
        back: PATH,
    })
}

#[get("/account/delete")]
async fn delete_page(signed_in: SignedIn, users: &State<Users>) -> PageResult {
    let question = question(&signed_in, users).await?;
    question.ask(&signed_in, users, Status::Ok, None).await
}

#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Deletion {
    password: Option<String>,
}

#[post("/account/delete", data = "<form>")]
async fn delete(
    signed_in: SignedIn,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Deletion>,
) -> PageResult {
    let password = form.0.password.as_deref();
    match delete_account(&signed_in, users, all, sessions, trail, password).await {
        Ok(Some(page)) => Ok(page),
        // If the form was sent twice, the second request finds no account.
        Err(error) if error.status() != Status::NotFound => Err(error),
        Ok(None) | Err(_) => {
            let mark = marks.mark(Notice::AccountDeleted);
            Ok(Page::NextWith(format!("/account-deleted?done={mark}")))
        }
    }
}

/// Deletes the account, or returns the page that asks for the password.
async fn delete_account(
    signed_in: &SignedIn,
    users: &Users,
    all: &SessionAdmin,
    sessions: &UserSessions,
    trail: Trail,
    password: Option<&str>,
) -> Result<Option<Page>, ApiError> {
    let question = question(signed_in, users).await?;
    let confirmed = question.confirm_now(signed_in, users, trail, password);
    if let Confirmed::NotYet(page) = confirmed.await? {
        return Ok(Some(page));
    }
    let deleted = signed_in.account(trail).delete(users, all, sessions).await;
    match deleted.map_err(ApiError::from) {
        Ok(()) => Ok(None),
        Err(error) if error.is_for_the_form() => {
            let asked = question.ask(signed_in, users, error.status(), Some(&error));
            asked.await.map(Some)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn routes() -> Vec<Route> {
    routes![delete_page, delete]
}
