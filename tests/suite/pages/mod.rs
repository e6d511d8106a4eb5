//! The application's pages, as their HTML says it.

mod account;
mod admin;
mod errors;
mod home;
mod sign_in;
