//! The form that changes the password.

use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::UserSessions;

use super::page::{Refused, show};
use super::{PATH, done};
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::pages::notice::Notice;
use crate::pages::page::{Page, PageResult};

#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct PasswordChange {
    current_password: String,
    new_password: String,
}

#[post("/account/password", data = "<form>")]
async fn password(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    form: Form<PasswordChange>,
) -> PageResult {
    let Form(change) = form;
    let (current, new) = (&change.current_password, &change.new_password);
    let account = signed_in.account(trail);
    let changed = account.change_password(users, sessions, current, new).await;
    match changed.map_err(ApiError::from) {
        Ok(()) => done(&signed_in.session, Notice::PasswordChanged).await,
        Err(error) if error.is_for_the_form() => {
            show(
                &signed_in,
                users,
                sessions,
                None,
                Some(Refused::Password(&error)),
            )
            .await
        }
        Err(error) => Err(error),
    }
}

/// Leads the address of the form, when it is typed or reloaded, to its page.
#[get("/account/password")]
fn password_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![password, password_page]
}
