//! The HTML of the application's pages.

mod account;
mod admin;
mod errors;
mod home;
mod sign_in;
