//! The stores by themselves: their contract, their tables, their statements.

mod contract;
mod external_users;
mod held_rows;
mod migrations;
mod other_programs;
mod plans;
