//! `/admin/sessions`: the list of sessions, a single one, and ending them.

mod detail;
mod item;
mod list;
mod revoke;
mod search;

use rocket::Route;

pub(super) use search::{address, query_of};

pub(super) fn routes() -> Vec<Route> {
    let mut routes = list::routes();
    routes.extend(detail::routes());
    routes.extend(revoke::routes());
    routes
}
