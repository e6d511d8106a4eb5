//! The stores alone: their contract, their tables and their statements.

mod changes;
mod contract;
mod events;
mod external_users;
mod held_rows;
mod migrations;
mod other_programs;
mod plans;
pub(crate) mod portable;
mod scan;
mod settings;
mod users;
