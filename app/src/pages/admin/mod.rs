//! `/admin`: what administrators see of everybody's sessions. `sessions` lists and shows single
//! ones, `actions` is what can be done.

mod actions;
mod chart;
mod hours;
mod live;
mod search;
mod sessions;

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::request::{self, FromRequest, Request};
use rocket::{Route, State, get, routes};

use crate::accounts::users::Users;
use crate::guards::admin::{Admin, presented_token};
use crate::guards::signed_in::{SignedIn, session};
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::pages::frame::Frame;
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::session_data::SessionData;
use crate::words;
use rocket_diesel_sessions::Session;
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::store::SweepRecord;

use chart::Chart;
use live::Figures;
use search::Search;
use sessions::List;

pub(crate) use live::Live;

const PATH: &str = "/admin";

/// Hours of the longer chart.
const WEEK: u16 = 7 * 24;

/// Passes of the sweep that are shown.
const SWEEPS: u32 = 10;

/// An administrator at a page, which does not create a session for those who have none: such come
/// with the token, or to a server under development.
pub(super) struct AdminViewer {
    admin: Admin,
    session: Option<Session<SessionData>>,
    /// The user, where it is as one that the visitor may be here.
    signed_in: Option<SignedIn>,
    has_token: bool,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AdminViewer {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl AdminViewer {
    async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let has_token = presented_token(request).is_some();
        let admin = match Admin::of(request).await {
            Err(error) if error.status() == Status::Unauthorized && !has_token => {
                return Err(ApiError::signed_out());
            }
            admitted => admitted?,
        };
        let session = if has_token {
            None
        } else {
            let session = session(request).await?;
            session.handle().is_some().then_some(session)
        };
        let signed_in = match &admin {
            Admin::User(_) => Some(SignedIn::of(request).await?),
            Admin::Token | Admin::Local => None,
        };
        Ok(Self {
            admin,
            session,
            signed_in,
            has_token,
        })
    }

    /// What is around a page. For those without a session, the notice is in the address.
    async fn frame(&self, users: &Users, done: Option<Notice>) -> Result<Frame, ApiError> {
        match &self.session {
            Some(session) => Frame::of(session, users).await,
            None => Ok(Frame {
                notice: done.map(Notice::text),
                is_known: !self.has_token,
                can_register: users.has_registration(),
                ..Frame::of_nobody()
            }),
        }
    }

    /// The handle of the visitor's own session.
    fn handle(&self) -> Option<String> {
        self.session.as_ref()?.handle()
    }
}

#[derive(Template)]
#[template(path = "admin.html")]
struct Dashboard<'a> {
    frame: Frame,
    figures: Figures,
    is_exact: bool,
    charts: [Chart; 2],
    sweeps: Vec<Sweep>,
    list: List,
    /// Whether everybody on this machine may be here.
    is_open: bool,
    /// What was wrong with the word that clears.
    problem: Option<&'a str>,
}

/// A pass of the sweep.
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

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The page; with `refused`, what was wrong with the form.
async fn show(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    search: Search<'_>,
    done: Option<Notice>,
    refused: Option<&ApiError>,
) -> PageResult {
    let now = users.now();
    let stats = sessions.stats(WEEK.into()).await?;
    let rows = hours::rows(&stats.hours, now, WEEK);
    let (Ok(day), Ok(week)) = (Chart::of_day(&rows), Chart::of_week(&rows)) else {
        tracing::error!("a chart cannot be drawn");
        return Err(ApiError::internal());
    };
    let sweeps = sessions.sweeps(SWEEPS).await?;
    let page = Dashboard {
        list: sessions::list(visitor, users, sessions, search).await?,
        frame: visitor.frame(users, done).await?,
        figures: Figures::of(&stats),
        is_open: matches!(visitor.admin, Admin::Local),
        is_exact: stats.is_exact,
        charts: [day, week],
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
    let mut routes = routes![dashboard];
    routes.extend(sessions::routes());
    routes.extend(actions::routes());
    routes.extend(live::routes());
    routes
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
