//! The application's command line.

mod changes;
mod commands;
mod config;
mod database;
mod terminal;
mod users;
