//! The application's API, and requirements of all of its routes.

mod accounts;
mod activity;
mod administration;
mod api;
mod bad_input;
mod behind_a_proxy;
mod last_administrator;
mod metrics_access;
mod open_administration;
mod openapi;
mod passwords;
mod raw_paths;
mod records;
mod refusals;
mod registration;
mod request_ids;
mod search;
mod settings;
mod site;
