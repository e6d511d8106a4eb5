//! The application's command line.

mod changes;
mod commands;
mod config;
mod database;
mod events;
mod lists;
mod terminal;
mod users;
