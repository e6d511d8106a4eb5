//! The HTML of the application's pages.

mod account;
pub(crate) mod admin;
mod admin_users;
mod errors;
mod home;
mod sign_in;
