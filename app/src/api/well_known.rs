//! Addresses that programs know: RFC 8615.

use rocket::response::Redirect;
use rocket::{Route, get, routes};

/// Where password managers look for the page to change a password.
#[get("/.well-known/change-password")]
fn change_password() -> Redirect {
    Redirect::found("/account")
}

pub(crate) fn routes() -> Vec<Route> {
    routes![change_password]
}
