//! What the page of an error says, and what it offers to do next.

use std::time::Duration;

use rocket::Request;
use rocket::http::Method;

use crate::http::error::ApiError;
use crate::http::next::{Next, page_of_form, parent};
use crate::words;

/// The words of the page of an error.
pub(super) struct Advice {
    pub(super) title: &'static str,
    pub(super) message: String,
    /// The first one is the most likely.
    pub(super) steps: Vec<Step>,
}

/// A next step: a link, or a button that sends a form.
pub(super) struct Step {
    pub(super) label: &'static str,
    pub(super) address: String,
    pub(super) is_form: bool,
}

impl Step {
    fn to(label: &'static str, address: impl Into<String>) -> Self {
        Self {
            label,
            address: address.into(),
            is_form: false,
        }
    }

    fn home() -> Self {
        Self::to("Home page", "/")
    }

    /// Leads to a page of the navigation.
    fn page(address: &'static str) -> Self {
        let label = match address {
            "/account" => "Go to your account",
            "/admin" => "Go to the administration",
            "/admin/sessions" => "Go to the sessions",
            "/admin/users" => "Go to the users",
            _ => return Self::home(),
        };
        Self::to(label, address)
    }
}

/// A request that failed, and who sent it.
pub(super) struct Failed<'a> {
    pub(super) error: &'a ApiError,
    pub(super) request: &'a Request<'a>,
    /// Who is signed in, if that is known.
    pub(super) username: Option<&'a str>,
    pub(super) is_admin: bool,
}

/// What is added where it is not known whether a form had an effect.
const UNCERTAIN: &str =
    "What you sent may or may not have been saved. Check before you send it again.";

impl Failed<'_> {
    /// Returns the words for the page.
    pub(super) fn advice(&self) -> Advice {
        let advice = |title, steps| Advice {
            title,
            message: self.error.in_words().to_owned(),
            steps,
        };
        match self.error.status().code {
            401 => advice("You are not signed in", vec![self.sign_in(), Step::home()]),
            403 if self.error.is_cross_site() => advice("This form was not accepted", self.back()),
            403 if self.error.is_registration_closed() => advice(
                "Registration is closed",
                vec![Step::to("Sign in", "/login"), Step::home()],
            ),
            403 => self.for_administrators(),
            404 => advice("Page not found", self.above()),
            405 => advice("Not possible here", self.page_itself()),
            409 => advice("Nothing was done", self.back()),
            413 => advice("Too large", self.back()),
            429 => advice("Too many attempts", self.again()),
            400..=499 => advice("This could not be accepted", self.back()),
            503 => self.uncertain("Not available at the moment"),
            _ => self.uncertain("Something went wrong"),
        }
    }

    fn path(&self) -> &str {
        self.request.uri().path().as_str()
    }

    fn is_form(&self) -> bool {
        !matches!(self.request.method(), Method::Get | Method::Head)
    }

    /// Returns the page of the form, or the page that was asked for.
    fn page(&self) -> String {
        if self.is_form() {
            page_of_form(self.path()).to_owned()
        } else {
            self.request.uri().to_string()
        }
    }

    fn sign_in(&self) -> Step {
        let next = Next::new(Some(&self.page()));
        Step::to("Sign in", next.at("/login"))
    }

    /// Leads to the page above the one that was asked for, if the visitor may see it.
    fn above(&self) -> Vec<Step> {
        let page = parent(self.path());
        let may_see = match page {
            "/" => false,
            "/account" => self.username.is_some(),
            _ => self.is_admin,
        };
        let above = may_see.then(|| Step::page(page));
        above.into_iter().chain([Step::home()]).collect()
    }

    /// Leads back to the form, or to the page above the one that was asked for.
    fn back(&self) -> Vec<Step> {
        if self.is_form() {
            vec![Step::to("Back to the form", self.page())]
        } else {
            self.above()
        }
    }

    /// Leads to the address that was used in a wrong way, if it is that of a page.
    fn page_itself(&self) -> Vec<Step> {
        if self.error.allows_get() {
            vec![Step::to("Go to the page", self.path())]
        } else {
            vec![Step::home()]
        }
    }

    fn again(&self) -> Vec<Step> {
        if self.is_form() {
            self.back()
        } else {
            vec![Step::to("Try again", self.page()), Step::home()]
        }
    }

    /// Offers to try again after an error of the server, when it is time. A form is not sent again,
    /// because it may have had an effect.
    fn uncertain(&self, title: &'static str) -> Advice {
        let mut message = self.error.in_words().to_owned();
        if self.is_form() {
            message = format!("{message} {UNCERTAIN}");
        } else if let Some(seconds) = self.error.retry_after() {
            let wait = words::wait(Duration::from_secs(seconds));
            message = format!("{message} Try again in {wait}.");
        }
        Advice {
            title,
            message,
            steps: self.again(),
        }
    }

    /// Says who is signed in, and offers to sign in as someone else.
    fn for_administrators(&self) -> Advice {
        let mut steps = vec![Step::home()];
        let message = match self.username {
            Some(username) => {
                steps.push(Step {
                    label: "Sign in as someone else",
                    address: Next::new(Some(&self.page())).at("/logout"),
                    is_form: true,
                });
                format!("This page is for administrators, and you are signed in as {username}.")
            }
            None => self.error.in_words().to_owned(),
        };
        Advice {
            title: "Administrators only",
            message,
            steps,
        }
    }
}
