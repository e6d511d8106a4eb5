//! The routes for programs, in JSON.

pub(super) mod account;
pub(super) mod activity;
pub mod admin;
pub(super) mod auth;
pub mod csv;
pub mod cursor;
pub(super) mod export;
pub(super) mod openapi;
pub(super) mod query;
pub(super) mod session;
pub(super) mod settings;
pub mod views;
pub(super) mod well_known;
