//! The dashboard itself: live figures, charts, sweeps and the list of sessions.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::store::{HourStats, SweepRecord};

use super::chart::Chart;
use super::hours;
use super::live::Figures;
use super::search::Search;
use super::sessions::{self, List};
use super::viewer::AdminViewer;
use crate::accounts::users::Users;
use crate::guards::admin::Admin;
use crate::http::error::ApiError;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::words;

/// The hours of the longer chart.
const WEEK: u16 = 7 * 24;

/// How many sweeps are shown.
const SWEEPS: u32 = 10;

#[derive(Template)]
#[template(path = "admin/dashboard.html")]
struct Dashboard<'a> {
    frame: Frame,
    figures: Figures,
    is_exact: bool,
    /// Whether usage is recorded.
    is_recorded: bool,
    charts: [Chart; 2],
    sweeps: Vec<Sweep>,
    list: List,
    /// Whether administration is open to everyone on this machine.
    is_open: bool,
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

/// Renders the dashboard. With `refused`, it says what was wrong with the form.
pub(super) async fn show(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    search: Search<'_>,
    done: Option<Notice>,
    refused: Option<&ApiError>,
) -> PageResult {
    let now = users.now();
    let stats = sessions.stats(WEEK.into()).await?;
    // The last hour with statistics may be an earlier one.
    let hour = HourStats::hour_of(now);
    let this = stats.hours.iter().find(|stats| stats.hour == hour);
    let rows = hours::rows(&stats.hours, now, WEEK);
    let sweeps = sessions.sweeps(SWEEPS).await?;
    let page = Dashboard {
        list: sessions::list(visitor, users, sessions, search).await?,
        frame: visitor.frame(users, done).await?,
        figures: Figures::of(&stats, this),
        is_open: matches!(visitor.admin, Admin::Local),
        is_exact: stats.is_exact,
        is_recorded: stats.is_recorded,
        charts: [Chart::of_day(&rows), Chart::of_week(&rows)],
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

#[get("/admin?<q>&<after>&<done>")]
async fn dashboard(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    q: Option<&str>,
    after: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    let done = done.and_then(|mark| marks.read(mark));
    let search = Search::new(q, after)?;
    show(&visitor, users, sessions, search, done, None).await
}

pub(super) fn routes() -> Vec<Route> {
    routes![dashboard]
}
