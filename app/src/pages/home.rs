//! The home page: the visits, the settings and what is stored.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{DatabaseUrl, Session, SessionHandle};

use super::filters;
use super::frame::Frame;
use super::notice::{Marks, Notice};
use super::page::{Page, PageResult};
use crate::accounts::users::Users;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::session_data::{DataPatch, Entered, SessionData, Theme};

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: Frame,
    data: &'a SessionData,
    /// The fields of the form.
    entered: Fields<'a>,
    /// The fields of the form when it was first shown.
    shown: Fields<'a>,
    facts: Option<Facts>,
    themes: [Theme; 3],
    problem: Option<&'a str>,
    storage: &'static str,
    now: DateTime<Utc>,
}

/// The fields of the settings form.
#[derive(Clone, Copy)]
struct Fields<'a> {
    display_name: &'a str,
    theme: &'a str,
}

/// The facts of the session that the page shows.
struct Facts {
    id: SessionHandle,
    session_id: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
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
            last_seen_at: record.last_seen_at,
            expires_at: record.expires_at,
        }
    }
}

/// The name of the database in the footer of the page.
pub(crate) struct StorageName(&'static str);

impl From<&DatabaseUrl> for StorageName {
    fn from(url: &DatabaseUrl) -> Self {
        Self(match url {
            DatabaseUrl::Sqlite(_) => "SQLite",
            DatabaseUrl::Postgres(_) => "PostgreSQL",
            _ => "another database",
        })
    }
}

/// A form that was refused: the problem, what was entered and what the form had shown.
type Refused<'a> = (&'a ApiError, Fields<'a>, Fields<'a>);

/// Shows the page.
fn show(
    session: &Session<SessionData>,
    users: &Users,
    storage: &StorageName,
    frame: Frame,
    refused: Option<Refused<'_>>,
) -> PageResult {
    let data = session.try_data()?;
    let stored = Fields {
        display_name: data.display_name.as_deref().unwrap_or_default(),
        theme: data.theme.name(),
    };
    let page = Home {
        frame,
        data: &data,
        entered: refused.map_or(stored, |(_, entered, _)| entered),
        shown: refused.map_or(stored, |(_, _, shown)| shown),
        facts: session.record().map(Into::into),
        themes: Theme::ALL,
        problem: refused.map(|(error, ..)| error.in_words()),
        storage: storage.0,
        now: users.now(),
    };
    match refused {
        Some((error, ..)) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

/// Only reads, unless a notice waits. `done` is the mark of a visitor whose session has ended.
#[get("/?<done>")]
async fn home(
    session: Session<SessionData>,
    users: &State<Users>,
    storage: &State<StorageName>,
    marks: &State<Marks>,
    done: Option<&str>,
) -> PageResult {
    let mut frame = Frame::of(&session, users).await?;
    if session.record().is_none() && marks.shows(done, Notice::OwnEnded) {
        frame.notice = Some(Notice::OwnEnded.text());
    }
    show(&session, users, storage, frame, None)
}

/// Counts a visit, as `/api/session/test-session` does.
#[post("/visit")]
async fn visit(session: Session<SessionData>) -> PageResult {
    session.update(SessionData::visit).await?;
    Ok(Page::Next("/"))
}

/// The settings form, as it was filled in and as it was first shown.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Settings {
    display_name: String,
    theme: String,
    shown_display_name: Option<String>,
    shown_theme: Option<String>,
}

/// Changes the settings.
#[post("/settings", data = "<form>")]
async fn change_settings(
    session: Session<SessionData>,
    users: &State<Users>,
    storage: &State<StorageName>,
    form: Form<Settings>,
) -> PageResult {
    let Form(form) = form;
    let entered = Entered {
        display_name: Some(&form.display_name),
        theme: Some(&form.theme),
    };
    let shown = Entered {
        display_name: form.shown_display_name.as_deref(),
        theme: form.shown_theme.as_deref(),
    };
    match DataPatch::from_form(entered, shown) {
        Ok(patch) => {
            // Those of a user, who may have signed in since the form was shown, belong to the account.
            let of_account = match session.user_id() {
                Some(id) => {
                    users.change_settings(&id, patch.clone().into()).await?;
                    true
                }
                None => false,
            };
            let change = move |data: &mut SessionData| {
                if !of_account {
                    patch.apply(data);
                }
                Notice::SettingsSaved.leave(data);
            };
            session.update(change).await?;
            Ok(Page::Next("/"))
        }
        Err(problem) => {
            let error = ApiError::unprocessable(problem);
            let entered = Fields {
                display_name: &form.display_name,
                theme: &form.theme,
            };
            let shown = Fields {
                display_name: shown.display_name.unwrap_or_default(),
                theme: shown.theme.unwrap_or_default(),
            };
            let frame = Frame::of(&session, users).await?;
            let refused = Some((&error, entered, shown));
            show(&session, users, storage, frame, refused)
        }
    }
}

/// Leads the address of a form, when it is typed or reloaded, to the page of the form.
#[get("/visit")]
fn visit_page() -> Page {
    Page::Next("/")
}

#[get("/settings")]
fn settings_page() -> Page {
    Page::Next("/")
}

#[get("/end")]
fn end_page() -> Page {
    Page::Next("/")
}

/// Ends the session. The notice of it cannot wait in the session, so it is in the address.
#[post("/end")]
async fn end(session: Session<SessionData>, marks: &State<Marks>) -> PageResult {
    session.destroy().await?;
    let mark = marks.mark(Notice::OwnEnded);
    Ok(Page::NextWith(format!("/?done={mark}")))
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        home,
        visit,
        change_settings,
        end,
        visit_page,
        settings_page,
        end_page
    ]
}
