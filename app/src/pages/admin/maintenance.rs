//! `/admin/maintenance`: sweeping, and ending all sessions.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::SweepRecord;
use rocket_diesel_sessions::{SessionAdmin, UserSessions};

use super::shell::{Shell, Tab};
use super::viewer::AdminViewer;
use crate::accounts::administration::Administration;
use crate::accounts::users::Users;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::{Event, Trail};
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::words;

/// The address of the page.
const PATH: &str = Tab::Maintenance.path();

/// The word that has to be typed to end all sessions.
const WORD: &str = "clear";

/// How many sweeps are shown.
const SWEEPS: u32 = 10;

#[derive(Template)]
#[template(path = "admin/maintenance.html")]
struct Maintenance<'a> {
    frame: Frame,
    shell: Shell,
    sweeps: Vec<Sweep>,
    /// What was wrong with the word that confirms the end of all sessions.
    problem: Option<&'a str>,
}

/// A sweep.
struct Sweep {
    started_at: DateTime<Utc>,
    ago: String,
    deleted: u64,
    elapsed: String,
    error: Option<String>,
}

impl Sweep {
    fn of(record: SweepRecord, now: DateTime<Utc>) -> Self {
        Self {
            started_at: record.started_at,
            ago: words::ago(record.started_at, now),
            deleted: record.deleted,
            elapsed: format!("{:.3} s", record.elapsed.as_secs_f64()),
            error: record.error,
        }
    }
}

/// Renders the page. With `refused`, it says what was wrong with the form.
async fn show(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    done: Option<Notice>,
    refused: Option<&ApiError>,
) -> PageResult {
    let now = users.now();
    let sweeps = sessions.sweeps(SWEEPS).await?;
    let page = Maintenance {
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Maintenance, visitor),
        sweeps: sweeps
            .into_iter()
            .map(|record| Sweep::of(record, now))
            .collect(),
        problem: refused.map(ApiError::in_words),
    };
    match refused {
        Some(error) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

#[get("/admin/maintenance?<done>")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    done: Option<&str>,
) -> PageResult {
    let done = done.and_then(|mark| marks.read(mark));
    show(&visitor, users, sessions, done, None).await
}

/// A form that is only a button.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Button {}

/// Deletes expired sessions.
#[post("/admin/sweep", data = "<_form>")]
async fn sweep(
    visitor: AdminViewer,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    _form: Form<Button>,
) -> PageResult {
    let deleted = sessions.sweep().await?.deleted;
    if deleted > 0 {
        let entry = trail.event(Event::Swept).by(visitor.admin.name());
        entry.deleted(deleted).write();
    }
    let address = visitor.go_on(PATH.to_owned(), Notice::Swept, marks).await;
    Ok(Page::NextWith(address))
}

/// The form that ends all sessions.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Clearing {
    word: String,
    password: Option<String>,
}

/// Ends all sessions, if the word was typed.
#[post("/admin/clear", data = "<form>")]
async fn clear(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    user_sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Clearing>,
) -> PageResult {
    let Form(Clearing { word, password }) = form;
    if word.trim() != WORD {
        let error = ApiError::unprocessable(format!(
            "nothing was ended: type the word {WORD} to end all sessions"
        ));
        return show(&visitor, users, sessions, None, Some(&error)).await;
    }
    let purpose = "to end all sessions. Everyone, including you, will be signed out";
    let question = Question {
        fields: vec![("word", WORD)],
        ..Question::again(purpose, "/admin/clear", "End all sessions", PATH)
    };
    let password = password.as_deref();
    let confirmed = visitor.confirm(&question, users, trail, password).await?;
    if let Confirmed::NotYet(page) = confirmed {
        return Ok(page);
    }
    let session = visitor.session.as_ref();
    let was_signed_in = session.is_some_and(|session| session.user_id().is_some());
    let administration = Administration {
        users,
        all: sessions,
        sessions: user_sessions,
        acting: visitor.acting(trail),
    };
    administration.clear().await?;
    let mark = marks.mark(Notice::AllEnded);
    Ok(Page::NextWith(if was_signed_in {
        format!("/all-signed-out?done={mark}")
    } else {
        format!("{PATH}?done={mark}")
    }))
}

/// Redirects to the page if the address of a form's target is typed or reloaded.
#[get("/admin/sweep")]
fn sweep_page() -> Page {
    Page::Next(PATH)
}

#[get("/admin/clear")]
fn clear_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![page, sweep, clear, sweep_page, clear_page]
}
