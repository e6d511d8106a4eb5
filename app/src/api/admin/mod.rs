//! `/api/admin`: users, events and maintenance, for administrators.

pub(crate) mod events;
pub(crate) mod maintenance;
pub(crate) mod users;
pub mod views;

use rocket::Route;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = users::routes();
    routes.extend(events::routes());
    routes.extend(maintenance::routes());
    routes
}
