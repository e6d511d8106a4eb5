//! The page that asks for the password before a form is carried out.

use askama::Template;
use rocket::http::Status;
use rocket_diesel_sessions::store::UserRecord;

use super::frame::Frame;
use super::page::{Page, PageResult};
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;

/// What the password is asked for. The form is sent again with it.
pub(super) struct Question<'a> {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// Where the form is sent.
    pub(super) action: &'a str,
    /// What else the form had.
    pub(super) fields: Vec<(&'static str, &'a str)>,
    /// What the button does.
    pub(super) verb: &'static str,
    /// The page that one comes from.
    pub(super) back: &'static str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    frame: Frame,
    username: &'a str,
    question: &'a Question<'a>,
    problem: Option<&'a str>,
}

/// How a form that needs the password goes on.
pub(super) enum Confirmed {
    /// It was given a short time ago.
    Recently,
    /// It came with the form and is right.
    Now(UserRecord),
    /// It has to be asked for.
    No(Option<ApiError>),
}

/// Whether the password was given, with the form or a short time ago.
pub(super) async fn confirm(
    signed_in: &SignedIn,
    users: &Users,
    trail: Trail,
    fields: &Fields,
) -> Result<Confirmed, ApiError> {
    match confirm_now(signed_in, users, trail, fields).await? {
        Confirmed::No(None) if signed_in.has_just_given_password(users) => Ok(Confirmed::Recently),
        confirmed => Ok(confirmed),
    }
}

/// Whether the password came with the form, for what it is always asked for.
pub(super) async fn confirm_now(
    signed_in: &SignedIn,
    users: &Users,
    trail: Trail,
    fields: &Fields,
) -> Result<Confirmed, ApiError> {
    let Some(password) = fields.optional("password") else {
        return Ok(Confirmed::No(None));
    };
    let (user_id, id) = (&signed_in.user_id, &signed_in.id);
    let confirmed = users.confirm(user_id, id, password, trail).await;
    match confirmed.map_err(ApiError::from) {
        Ok(user) => Ok(Confirmed::Now(user)),
        Err(error) if error.is_for_the_form() => Ok(Confirmed::No(Some(error))),
        Err(error) => Err(error),
    }
}

/// The page; `status` is the one of a first question.
pub(super) async fn ask(
    signed_in: &SignedIn,
    users: &Users,
    question: &Question<'_>,
    status: Status,
    wrong: Option<&ApiError>,
) -> PageResult {
    let user = signed_in.user(users).await?;
    let page = ConfirmPage {
        frame: Frame::of_user(&signed_in.session, Some(&user)).await?,
        username: &user.username,
        question,
        problem: wrong.map(ApiError::in_words),
    };
    match wrong {
        Some(error) => Page::refused(error, &page),
        None => Page::with_status(status, &page),
    }
}
