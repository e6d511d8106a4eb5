//! `/admin/sessions`: the list of sessions, a single one, files of them, and ending them.

mod detail;
mod export;
mod item;
mod list;
mod query;
mod revoke;

use rocket::Route;

pub(super) use query::{Fields, Query};

pub(super) fn routes() -> Vec<Route> {
    let mut routes = list::routes();
    routes.extend(detail::routes());
    routes.extend(export::routes());
    routes.extend(revoke::routes());
    routes
}
