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
use crate::settings::effective::{EffectiveSettings, Setting};

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
    now: DateTime<Utc>,
    sweeps: Vec<Sweep>,
    /// The state of this instance: names and values.
    state: Vec<(&'static str, String)>,
    /// The settings that are not left at their defaults, and the others.
    changed: Vec<&'a Setting>,
    defaults: Vec<&'a Setting>,
    /// What was wrong with the word that confirms the end of all sessions.
    problem: Option<&'a str>,
}

/// A sweep.
struct Sweep {
    started_at: DateTime<Utc>,
    deleted: u64,
    elapsed: String,
    error: Option<String>,
}

impl Sweep {
    fn of(record: SweepRecord) -> Self {
        Self {
            started_at: record.started_at,
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
    settings: &EffectiveSettings,
    done: Option<Notice>,
    refused: Option<&ApiError>,
) -> PageResult {
    let sweeps = sessions.sweeps(SWEEPS).await?;
    let (defaults, changed) = settings.0.iter().partition(|setting| setting.is_default());
    let page = Maintenance {
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Maintenance, visitor),
        now: users.now(),
        sweeps: sweeps.into_iter().map(Sweep::of).collect(),
        state: state(sessions),
        changed,
        defaults,
        problem: refused.map(ApiError::in_words),
    };
    match refused {
        Some(error) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

/// Returns the state of this instance in figures, without asking the database.
fn state(sessions: &SessionAdmin) -> Vec<(&'static str, String)> {
    let metrics = sessions.metrics();
    let figure = |name: &str| {
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or("–").to_owned()
    };
    let of = |part: String, limit: String| format!("{part} of {limit}");
    vec![
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "Database connections in use",
            of(
                figure("sessions_connections{state=\"in_use\"}"),
                figure("sessions_pool_size"),
            ),
        ),
        (
            "Loads waiting",
            of(
                figure("sessions_queue_depth{kind=\"load\"}"),
                figure("sessions_queue_limit{kind=\"load\"}"),
            ),
        ),
        (
            "Writes waiting",
            of(
                figure("sessions_queue_depth{kind=\"write\"}"),
                figure("sessions_queue_limit{kind=\"write\"}"),
            ),
        ),
    ]
}

#[get("/admin/maintenance?<done>")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    settings: &State<EffectiveSettings>,
    marks: &State<Marks>,
    done: Option<&str>,
) -> PageResult {
    let done = done.and_then(|mark| marks.read(mark));
    show(&visitor, users, sessions, settings, done, None).await
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
#[expect(clippy::too_many_arguments, reason = "the state that it needs")]
async fn clear(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    user_sessions: &State<UserSessions>,
    settings: &State<EffectiveSettings>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Clearing>,
) -> PageResult {
    let Form(Clearing { word, password }) = form;
    if word.trim() != WORD {
        let error = ApiError::unprocessable(format!(
            "nothing was ended: type the word {WORD} to end all sessions"
        ));
        return show(&visitor, users, sessions, settings, None, Some(&error)).await;
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
