//! Well-known addresses (RFC 8615).

use rocket::response::Redirect;
use rocket::{Route, get, routes};

/// Leads password managers to the page for changing a password.
#[get("/.well-known/change-password")]
fn change_password() -> Redirect {
    Redirect::found("/account")
}

pub(crate) fn routes() -> Vec<Route> {
    routes![change_password]
}
