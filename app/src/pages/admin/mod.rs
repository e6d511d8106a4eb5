//! `/admin`: what administrators see of all sessions, and what they can do.

mod actions;
mod chart;
mod dashboard;
mod hours;
mod live;
mod search;
mod sessions;
mod viewer;

use rocket::Route;

pub(crate) use live::Live;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = dashboard::routes();
    routes.extend(sessions::routes());
    routes.extend(actions::routes());
    routes.extend(live::routes());
    routes
}
