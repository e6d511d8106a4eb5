//! `/admin/users`: the list of users, a single one, and changing it.

mod actions;
mod detail;
mod list;

use rocket::Route;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = list::routes();
    routes.extend(detail::routes());
    routes.extend(actions::routes());
    routes
}
