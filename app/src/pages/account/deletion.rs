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

/// The question before the account is deleted. It is always asked, even if the password was just given.
fn question() -> Question<'static> {
    Question {
        title: "Delete your account",
        text: "Your name, your password, your settings and all your sessions are deleted at once, \
               and every device is signed out. This cannot be undone."
            .to_owned(),
        action: "/account/delete",
        fields: Vec::new(),
        verb: "Delete my account permanently",
        is_final: true,
        back: PATH,
    }
}

#[get("/account/delete")]
async fn delete_page(signed_in: SignedIn, users: &State<Users>) -> PageResult {
    question().ask(&signed_in, users, Status::Ok, None).await
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
    let (question, password) = (question(), form.0.password.as_deref());
    if let Confirmed::NotYet(page) = question
        .confirm_now(&signed_in, users, trail, password)
        .await?
    {
        return Ok(page);
    }
    let deleted = signed_in.account(trail).delete(users, all, sessions).await;
    match deleted.map_err(ApiError::from) {
        Ok(()) => {
            let mark = marks.mark(Notice::AccountDeleted);
            Ok(Page::NextWith(format!("/account-deleted?done={mark}")))
        }
        Err(error) if error.is_for_the_form() => {
            let (status, error) = (error.status(), Some(&error));
            question.ask(&signed_in, users, status, error).await
        }
        Err(error) => Err(error),
    }
}

pub(super) fn routes() -> Vec<Route> {
    routes![delete_page, delete]
}
