//! The session layer in a library user's application: guard, queue, users, usage.

mod after_the_answer;
mod guard;
mod pipeline;
mod rolling_deploy;
mod sign_in;
mod statistics;
mod undo_races;
mod user_races;
mod users;
