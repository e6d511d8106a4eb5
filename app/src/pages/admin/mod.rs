//! `/admin`: what administrators see of all sessions and users, and what they can do.

mod consent;
mod events;
mod maintenance;
mod overview;
mod paging;
mod sessions;
mod shell;
mod users;
mod viewer;

use rocket::Route;

pub(crate) use overview::Live;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = overview::routes();
    routes.extend(sessions::routes());
    routes.extend(users::routes());
    routes.extend(events::routes());
    routes.extend(maintenance::routes());
    routes
}
