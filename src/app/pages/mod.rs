//! The pages a browser opens. They work without JavaScript: a form posts and is redirected.

mod account;
mod admin;
pub(super) mod assets;
mod confirm;
mod failure;
mod farewell;
mod home;
mod sign_in;

use askama::Template;
use rocket::Route;
use rocket::http::Status;
use rocket::request::Request;
use rocket::response::content::RawHtml;
use rocket::response::{self, Redirect, Responder};

use super::data::SessionData;
use super::error::ApiError;
use super::notice::{Marks, Notice};
use super::users::Users;
use crate::{DatabaseUrl, Session, UserRecord};

pub(super) use admin::Live;
pub(super) use failure::{PageError, catchers};
pub(super) use home::StorageName;
pub(super) use sign_in::CookieNeedsTls;

type PageResult = Result<Page, PageError>;

/// What is around every page.
pub(super) struct Frame {
    pub(super) theme: &'static str,
    /// Whether it is known who looks; if not, nothing is said of it.
    pub(super) is_known: bool,
    pub(super) username: Option<String>,
    pub(super) is_admin: bool,
    /// Whether visitors may register.
    pub(super) can_register: bool,
    pub(super) notice: Option<&'static str>,
}

impl Frame {
    /// Around a page that must not ask for the session.
    pub(super) fn of_nobody() -> Self {
        Self {
            theme: "system",
            is_known: false,
            username: None,
            is_admin: false,
            can_register: false,
            notice: None,
        }
    }

    /// Around a page of this visitor; takes the notice that waits for the next page.
    async fn of(session: &Session<SessionData>, users: &Users) -> Result<Self, PageError> {
        let user = match session.user_id() {
            Some(id) => users.find(&id).await?,
            None => None,
        };
        let frame = Self::of_user(session, user.as_ref()).await?;
        let can_register = users.has_registration();
        Ok(Self {
            can_register,
            ..frame
        })
    }

    async fn of_user(
        session: &Session<SessionData>,
        user: Option<&UserRecord>,
    ) -> Result<Self, PageError> {
        let notice = Notice::take(session).await?;
        Ok(Self {
            notice: notice.map(Notice::text),
            ..Self::without_notice(session, user)
        })
    }

    /// Around a page that leaves the notice to the next one.
    fn without_notice(session: &Session<SessionData>, user: Option<&UserRecord>) -> Self {
        Self {
            theme: session.try_data().unwrap_or_default().theme.name(),
            is_known: true,
            username: user.map(|user| user.username.clone()),
            is_admin: user.is_some_and(|user| user.is_admin),
            can_register: false,
            notice: None,
        }
    }
}

/// What a page's route answers.
enum Page {
    Html(Status, String, Option<u64>),
    /// To be fetched instead, with GET.
    Next(&'static str),
    /// The same, with a query.
    NextWith(String),
}

impl Page {
    fn show(template: &impl Template) -> PageResult {
        Self::with_status(Status::Ok, template)
    }

    fn with_status(status: Status, template: &impl Template) -> PageResult {
        Ok(Self::Html(status, render(template)?, None))
    }

    /// A form again, with what was wrong with it.
    fn refused(error: &ApiError, template: &impl Template) -> PageResult {
        let html = render(template)?;
        Ok(Self::Html(error.status(), html, error.retry_after()))
    }
}

fn render(template: &impl Template) -> Result<String, ApiError> {
    template.render().map_err(|error| {
        tracing::error!("a page cannot be rendered: {error}");
        ApiError::internal()
    })
}

impl<'r> Responder<'r, 'static> for Page {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let (status, html, retry_after) = match self {
            Self::Html(status, html, retry_after) => (status, html, retry_after),
            Self::Next(path) => return Redirect::to(path).respond_to(request),
            Self::NextWith(path) => return Redirect::to(path).respond_to(request),
        };
        let mut response = RawHtml(html).respond_to(request)?;
        response.set_status(status);
        if let Some(seconds) = retry_after {
            response.set_raw_header("Retry-After", seconds.to_string());
        }
        Ok(response)
    }
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = assets::routes();
    routes.extend(home::routes());
    routes.extend(sign_in::routes());
    routes.extend(farewell::routes());
    routes.extend(account::routes());
    routes.extend(admin::routes());
    routes
}
