//! The home page: the visit count, settings, and what is stored.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, post, routes};

use super::{ApiError, DatabaseUrl, Frame, Notice, Page, PageResult, Session, Users};
use crate::SessionRecord;
use crate::app::data::{DataPatch, SessionData, Theme};
use crate::app::fields::Fields;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: Frame,
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
pub(in crate::app) struct StorageName(&'static str);

impl From<&DatabaseUrl> for StorageName {
    fn from(url: &DatabaseUrl) -> Self {
        Self(match url {
            DatabaseUrl::Sqlite(_) => "SQLite",
            DatabaseUrl::Postgres(_) => "PostgreSQL",
        })
    }
}

/// The page; with `refused`, the problem and the name that was entered.
async fn show(
    session: &Session<SessionData>,
    users: &Users,
    storage: &StorageName,
    refused: Option<(&ApiError, &str)>,
) -> PageResult {
    let frame = Frame::of(session, users).await?;
    let data = session.try_data()?;
    let stored_name = data.display_name.as_deref().unwrap_or_default();
    let page = Home {
        frame,
        data: &data,
        display_name: refused.map_or(stored_name, |(_, entered)| entered),
        facts: session.record().map(Into::into),
        themes: Theme::ALL,
        problem: refused.map(|(error, _)| error.message()),
        storage: storage.0,
    };
    match refused {
        Some((error, _)) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

/// Reads only, unless a notice waits.
#[get("/")]
async fn home(
    session: Session<SessionData>,
    users: &State<Users>,
    storage: &State<StorageName>,
) -> PageResult {
    show(&session, users, storage, None).await
}

/// Counts a visit, as `/api/session/test-session` does.
#[post("/visit")]
async fn visit(session: Session<SessionData>) -> PageResult {
    session.update(SessionData::visit).await?;
    Ok(Page::Next("/"))
}

/// Changes the typed fields.
#[post("/settings", data = "<fields>")]
async fn change_settings(
    session: Session<SessionData>,
    users: &State<Users>,
    storage: &State<StorageName>,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let fields = fields?.of_form()?;
    let (name, theme) = (fields.required("display_name")?, fields.required("theme")?);
    match DataPatch::from_form(name, theme) {
        Ok(patch) => {
            let change = move |data: &mut SessionData| {
                patch.apply(data);
                Notice::SettingsSaved.leave(data);
            };
            session.update(change).await?;
            Ok(Page::Next("/"))
        }
        Err(problem) => {
            let error = ApiError::unprocessable(problem);
            show(&session, users, storage, Some((&error, name))).await
        }
    }
}

/// Ends the session.
#[post("/end")]
async fn end(session: Session<SessionData>) -> PageResult {
    session.destroy().await?;
    Ok(Page::Next("/"))
}

pub(super) fn routes() -> Vec<Route> {
    routes![home, visit, change_settings, end]
}
