//! The page that asks for the password before a form is carried out.

use askama::Template;
use rocket::http::Status;
use rocket_diesel_sessions::Session;
use rocket_diesel_sessions::store::UserRecord;

use super::filters;
use super::frame::Frame;
use super::page::{Page, PageResult};
use crate::accounts::error::AccountError;
use crate::accounts::sign_in::renew;
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::session_data::SessionData;

/// What the password is asked for. The form is sent again with it.
pub(super) struct Question<'a> {
    pub(super) title: &'static str,
    pub(super) text: String,
    /// The address that the form is sent to.
    pub(super) action: &'a str,
    /// The other fields of the form.
    pub(super) fields: Vec<(&'static str, &'a str)>,
    /// The label of the button.
    pub(super) verb: &'static str,
    /// Whether what is done cannot be undone.
    pub(super) is_final: bool,
    /// The page to go back to.
    pub(super) back: &'a str,
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
    /// The password was given a short time ago.
    Recently,
    /// The password came with the form and is right.
    Now(UserRecord),
    /// The password is still needed, and the page asks for it.
    NotYet(Page),
}

impl Confirmed {
    /// Gives the session a new token if the password came with the form, because the age of the
    /// token stands for the time since the password was given.
    pub(super) async fn renew(
        self,
        session: &Session<SessionData>,
        trail: Trail,
    ) -> Result<(), AccountError> {
        match self {
            Self::Now(user) => renew(session, &user, trail).await,
            Self::Recently | Self::NotYet(_) => Ok(()),
        }
    }
}

impl<'a> Question<'a> {
    /// Makes the question where the password was given too long ago for this purpose, such as "to sign
    /// out another device".
    pub(super) fn again(purpose: &str, action: &'a str, verb: &'static str, back: &'a str) -> Self {
        Self {
            title: "Confirm your password",
            text: format!("You are about {purpose}. Enter your password to go on."),
            action,
            fields: Vec::new(),
            verb,
            is_final: false,
            back,
        }
    }

    /// Confirms the password, which may come with the form or was given a short time ago.
    ///
    /// # Errors
    /// When asking again does not help, as in an outage.
    pub(super) async fn confirm(
        &self,
        signed_in: &SignedIn,
        users: &Users,
        trail: Trail,
        password: Option<&str>,
    ) -> Result<Confirmed, ApiError> {
        if password.is_none() && signed_in.has_just_given_password(users) {
            return Ok(Confirmed::Recently);
        }
        self.confirm_now(signed_in, users, trail, password).await
    }

    /// Confirms the password, which must come with the form.
    ///
    /// # Errors
    /// When asking again does not help, as in an outage.
    pub(super) async fn confirm_now(
        &self,
        signed_in: &SignedIn,
        users: &Users,
        trail: Trail,
        password: Option<&str>,
    ) -> Result<Confirmed, ApiError> {
        let mut wrong = None;
        if let Some(password) = password {
            let (user_id, handle) = (&signed_in.user_id, &signed_in.handle);
            let confirmed = users.confirm(user_id, handle, password, trail).await;
            match confirmed.map_err(ApiError::from) {
                Ok(user) => return Ok(Confirmed::Now(user)),
                Err(error) if error.is_for_the_form() => wrong = Some(error),
                Err(error) => return Err(error),
            }
        }
        let asked = self.ask(signed_in, users, Status::Forbidden, wrong.as_ref());
        asked.await.map(Confirmed::NotYet)
    }

    /// Shows the page, with this status unless an answer was wrong.
    pub(super) async fn ask(
        &self,
        signed_in: &SignedIn,
        users: &Users,
        status: Status,
        wrong: Option<&ApiError>,
    ) -> PageResult {
        let account = signed_in.stored_account(users).await?;
        let page = ConfirmPage {
            frame: Frame::of_user(&signed_in.session, Some(&account)).await?,
            username: &account.user.username,
            question: self,
            problem: wrong.map(ApiError::in_words),
        };
        match wrong {
            Some(error) => Page::refused(error, &page),
            None => Page::with_status(status, &page),
        }
    }
}
