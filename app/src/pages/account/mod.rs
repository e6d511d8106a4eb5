//! `/account`: a user's devices, settings, password and account.

mod deletion;
mod device;
mod export;
mod page;
mod password;
mod settings;
mod sign_outs;

use rocket::Route;
use rocket_diesel_sessions::Session;

pub(super) use device::Device;

use super::notice::Notice;
use super::page::{Page, PageResult};
use crate::session_data::SessionData;

/// The address of the page.
const PATH: &str = "/account";

/// Leaves a notice for the account's page and goes there.
async fn done(session: &Session<SessionData>, notice: Notice) -> PageResult {
    // It is done, even if the notice cannot be stored.
    let _ = session.update(move |data| notice.leave(data)).await;
    Ok(Page::Next(PATH))
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = page::routes();
    routes.extend(sign_outs::routes());
    routes.extend(password::routes());
    routes.extend(settings::routes());
    routes.extend(export::routes());
    routes.extend(deletion::routes());
    routes
}
