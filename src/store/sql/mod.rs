//! All of Diesel: [`DieselStore`](store::DieselStore) on SQLite and PostgreSQL. What is specific to one
//! database is in the file of its name.

pub(super) mod connect;
mod error;
pub(super) mod listing;
mod login;
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod run;
#[allow(
    missing_docs,
    unreachable_pub,
    reason = "written by diesel print-schema"
)]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod stats;
pub(super) mod store;
mod users;
