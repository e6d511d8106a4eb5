//! The page on which an administrator confirms an action, with the password unless it was given a short
//! time ago.

use askama::Template;
use rocket::http::Status;

use super::shell::{Shell, Tab};
use super::viewer::AdminViewer;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::pages::confirm::Confirmed;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};

/// The value of the field `confirm` in a form that was confirmed.
const YES: &str = "yes";

/// What an administrator is asked to confirm. The form is sent again with the answer.
pub(super) struct Consent {
    /// The question, as in "End 3 sessions?".
    pub(super) title: String,
    /// What follows from it.
    pub(super) text: String,
    /// What it concerns, one line each.
    pub(super) items: Vec<String>,
    /// The address that the form is sent to.
    pub(super) action: String,
    /// The other fields of the form.
    pub(super) fields: Vec<(String, String)>,
    /// The label of the button.
    pub(super) verb: String,
    /// The page to go back to.
    pub(super) back: String,
    pub(super) tab: Tab,
}

/// What a form says about its confirmation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given<'a> {
    pub(super) confirm: Option<&'a str>,
    pub(super) password: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "admin/confirm.html")]
struct ConsentPage<'a> {
    frame: Frame,
    shell: Shell,
    consent: &'a Consent,
    /// Whose password is needed, if one is.
    username: Option<String>,
    problem: Option<&'a str>,
}

impl AdminViewer {
    /// Confirms an action. A user also has to have given the password a short time ago, while other
    /// administrators have none.
    ///
    /// # Errors
    /// When asking again does not help, as in an outage.
    pub(super) async fn consents(
        &self,
        consent: &Consent,
        users: &Users,
        trail: Trail,
        given: Given<'_>,
    ) -> Result<Confirmed, ApiError> {
        let mut wrong = None;
        let needs_password = match &self.signed_in {
            Some(signed_in) => {
                if let Some(password) = given.password {
                    let (user_id, handle) = (&signed_in.user_id, &signed_in.handle);
                    let confirmed = users.confirm(user_id, handle, password, trail).await;
                    match confirmed.map_err(ApiError::from) {
                        Ok(user) => return Ok(Confirmed::Now(user)),
                        Err(error) if error.is_for_the_form() => wrong = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                wrong.is_some() || !signed_in.has_just_given_password(users)
            }
            None => false,
        };
        if !needs_password && given.confirm == Some(YES) {
            return Ok(Confirmed::Recently);
        }
        let page = self.ask(consent, users, needs_password, wrong.as_ref());
        page.await.map(Confirmed::NotYet)
    }

    async fn ask(
        &self,
        consent: &Consent,
        users: &Users,
        needs_password: bool,
        wrong: Option<&ApiError>,
    ) -> PageResult {
        let username = match &self.signed_in {
            Some(signed_in) if needs_password => Some(signed_in.user(users).await?.username),
            _ => None,
        };
        let page = ConsentPage {
            frame: self.frame(users, None).await?,
            shell: Shell::below(consent.tab, self),
            consent,
            username,
            problem: wrong.map(ApiError::in_words),
        };
        match wrong {
            Some(error) => Page::refused(error, &page),
            None if needs_password => Page::with_status(Status::Forbidden, &page),
            None => Page::show(&page),
        }
    }
}
