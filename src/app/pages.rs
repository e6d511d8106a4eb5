//! The pages a browser opens. They work without JavaScript: a form posts and is redirected.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::form::Form;
use rocket::http::{ContentType, Status};
use rocket::response::Redirect;
use rocket::response::content::RawHtml;
use rocket::{FromForm, Responder, Route, State, get, post, routes, uri};

use super::data::{DataPatch, SessionData, Theme};
use crate::{DatabaseUrl, Session, SessionError, SessionRecord};

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    theme: &'a str,
    data: &'a SessionData,
    display_name: &'a str,
    facts: Option<Facts>,
    themes: [Theme; 3],
    problem: Option<&'a str>,
    storage: &'static str,
}

/// What the page tells of the session.
struct Facts {
    id: String,
    session_id: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<SessionRecord> for Facts {
    fn from(record: SessionRecord) -> Self {
        Self {
            id: record.id,
            session_id: record.session_id.to_string(),
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            expires_at: record.expires_at,
        }
    }
}

/// What the page's footer calls the database.
pub(super) struct StorageName(pub(super) &'static str);

impl From<&DatabaseUrl> for StorageName {
    fn from(url: &DatabaseUrl) -> Self {
        Self(match url {
            DatabaseUrl::Sqlite(_) => "SQLite",
            DatabaseUrl::Postgres(_) => "PostgreSQL",
        })
    }
}

#[derive(Responder)]
enum Page {
    Html(RawHtml<String>),
    Refused((Status, RawHtml<String>)),
    Next(Box<Redirect>),
    Failed(Status),
}

impl From<Result<(), SessionError>> for Page {
    fn from(result: Result<(), SessionError>) -> Self {
        match result {
            Ok(()) => Self::Next(Box::new(Redirect::to(uri!(home)))),
            Err(error) => Self::Failed(error.status()),
        }
    }
}

fn render(
    session: &Session<SessionData>,
    storage: &StorageName,
    refused: Option<(&str, &str)>,
) -> Page {
    let data = session.data();
    let stored_name = data.display_name.as_deref().unwrap_or_default();
    let page = Home {
        theme: data.theme.name(),
        data: &data,
        display_name: refused.map_or(stored_name, |(_, entered)| entered),
        facts: session.record().map(Into::into),
        themes: Theme::ALL,
        problem: refused.map(|(problem, _)| problem),
        storage: storage.0,
    };
    match page.render() {
        Ok(html) if refused.is_some() => {
            Page::Refused((Status::UnprocessableEntity, RawHtml(html)))
        }
        Ok(html) => Page::Html(RawHtml(html)),
        Err(error) => {
            tracing::error!("the home page cannot be rendered: {error}");
            Page::Failed(Status::InternalServerError)
        }
    }
}

/// Shows the visit count, the session's facts and a form; reads only.
#[get("/")]
fn home(session: Session<SessionData>, storage: &State<StorageName>) -> Page {
    render(&session, storage, None)
}

/// Counts a visit, as `/api/session/test-session` does.
#[post("/visit")]
async fn visit(session: Session<SessionData>) -> Page {
    session.update(SessionData::visit).await.map(drop).into()
}

#[derive(FromForm)]
struct SettingsForm {
    display_name: String,
    theme: String,
}

/// Changes the typed fields.
#[post("/settings", data = "<form>")]
async fn change_settings(
    session: Session<SessionData>,
    storage: &State<StorageName>,
    form: Form<SettingsForm>,
) -> Page {
    match DataPatch::from_form(&form.display_name, &form.theme) {
        Ok(patch) => session.update(move |data| patch.apply(data)).await.into(),
        Err(problem) => render(&session, storage, Some((&problem, &form.display_name))),
    }
}

/// Ends the session.
#[post("/end")]
async fn end(session: Session<SessionData>) -> Page {
    session.destroy().await.into()
}

/// The one stylesheet, part of the program.
#[get("/static/style.css")]
fn style() -> (ContentType, &'static str) {
    (ContentType::CSS, include_str!("../../static/style.css"))
}

pub(super) fn routes() -> Vec<Route> {
    routes![home, visit, change_settings, end, style]
}
