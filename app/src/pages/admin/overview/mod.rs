//! `/admin`: how sessions are used, in figures and charts.

mod chart;
mod figures;
mod hours;
mod live;
mod page;

use rocket::Route;

pub(crate) use live::Live;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = page::routes();
    routes.extend(live::routes());
    routes
}
