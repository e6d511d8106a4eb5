//! The session layer in an application of a library user: guard, queue, users and usage.

mod access;
mod activity;
mod after_the_answer;
mod events;
mod evolution;
mod guard;
mod ids;
mod kinds;
mod known_devices;
mod login_with;
mod pipeline;
mod rolling_deploy;
mod sign_in;
mod slow_statistics;
mod statistics;
mod streams;
mod testing;
mod undecodable;
mod undo_races;
mod unrecorded;
mod user_races;
mod users;
mod webhook;
