//! The page of live figures and charts.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::admin::SessionStats;

use super::chart::{Chart, charts};
use super::figures::{Change, Figures, Share};
use super::hours::{self, Range};
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::admin::sessions;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::Marks;
use crate::pages::page::{Page, PageResult};

/// The hours that the figures need: yesterday as a whole, and the 24 hours before the last ones.
const FIGURES: u16 = 48;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    frame: Frame,
    shell: Shell,
    figures: Figures,
    /// `None` if the sessions have not been counted.
    share: Option<Share>,
    active: Change,
    created: Change,
    ended: Change,
    /// Yesterday's peak, and when it was.
    peak: Option<(u64, String)>,
    is_exact: bool,
    is_minimum: bool,
    /// How many active sessions there are more than, if they have not been counted.
    over: u64,
    /// Whether usage is recorded.
    is_recorded: bool,
    range: Range,
    charts: Vec<Chart>,
}

impl Overview {
    fn ranges(&self) -> [(Range, bool); 4] {
        Range::ALL.map(|range| (range, range == self.range))
    }

    fn new(
        stats: &SessionStats,
        now: DateTime<Utc>,
        range: Range,
        frame: Frame,
        shell: Shell,
    ) -> Self {
        let (today, before) = (
            hours::day(&stats.hours, now, 0),
            hours::day(&stats.hours, now, 24),
        );
        let a_day_ago = hours::hour(&stats.hours, now, 24).map(|hour| hour.peak_active);
        let figures = Figures::of(stats, now);
        let peak = hours::peak_of_yesterday(&stats.hours, now);
        Self {
            frame,
            shell,
            share: (!stats.is_minimum).then(|| Share::of(stats.signed_in, stats.active)),
            over: stats.active.saturating_sub(1),
            active: Change::of(figures.active, a_day_ago, "this hour yesterday"),
            created: Change::of(today.created, Some(before.created), "the day before"),
            ended: Change::of(
                today.ended.total(),
                Some(before.ended.total()),
                "the day before",
            ),
            figures,
            peak: peak.map(|hour| (hour.peak_active, hour.hour.format("%H:00").to_string())),
            is_exact: stats.is_exact,
            is_minimum: stats.is_minimum,
            is_recorded: stats.is_recorded,
            range,
            charts: charts(&hours::rows(&stats.hours, now, range), range),
        }
    }
}

#[get("/admin?<range>&<q>&<after>&<done>")]
#[expect(clippy::too_many_arguments, reason = "one per field of the query")]
async fn overview(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    range: Option<&str>,
    q: Option<&str>,
    after: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    // The list of sessions used to be here, and links to a search remain.
    if q.is_some() || after.is_some() {
        let fields = sessions::Fields {
            q,
            after,
            ..sessions::Fields::default()
        };
        return Ok(Page::NextWith(sessions::Query::parse(fields)?.address()));
    }
    let range = match range {
        None => Range::default(),
        Some(name) => Range::named(name).ok_or_else(|| {
            let message = format!("range: {name:?} is not 24h, 7d, 30d or 90d");
            ApiError::unprocessable(message)
        })?,
    };
    let done = done.and_then(|mark| marks.read(mark));
    let now = users.now();
    let stats = sessions.stats(range.hours().max(FIGURES).into()).await?;
    let frame = visitor.frame(users, done).await?;
    let shell = Shell::of(Tab::Overview, &visitor);
    Page::show(&Overview::new(&stats, now, range, frame, shell))
}

pub(super) fn routes() -> Vec<Route> {
    routes![overview]
}
