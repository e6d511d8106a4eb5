//! The page of live figures and charts.

use askama::Template;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::store::HourStats;

use super::chart::Chart;
use super::hours;
use super::live::Figures;
use crate::accounts::users::Users;
use crate::pages::admin::sessions;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::Marks;
use crate::pages::page::{Page, PageResult};

/// The hours of the longer chart.
const WEEK: u16 = 7 * 24;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    frame: Frame,
    shell: Shell,
    figures: Figures,
    is_exact: bool,
    /// Whether usage is recorded.
    is_recorded: bool,
    charts: [Chart; 2],
}

#[get("/admin?<q>&<after>&<done>")]
async fn overview(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    q: Option<&str>,
    after: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    // The list of sessions used to be here, and links to a search remain.
    if q.is_some() || after.is_some() {
        let address = sessions::address(&sessions::query_of(q, after));
        return Ok(Page::NextWith(address));
    }
    let done = done.and_then(|mark| marks.read(mark));
    let now = users.now();
    let stats = sessions.stats(WEEK.into()).await?;
    // The last hour with statistics may be an earlier one.
    let hour = HourStats::hour_of(now);
    let this = stats.hours.iter().find(|stats| stats.hour == hour);
    let rows = hours::rows(&stats.hours, now, WEEK);
    Page::show(&Overview {
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Overview, &visitor),
        figures: Figures::of(&stats, this),
        is_exact: stats.is_exact,
        is_recorded: stats.is_recorded,
        charts: [Chart::of_day(&rows), Chart::of_week(&rows)],
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![overview]
}
