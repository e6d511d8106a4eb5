//! The search for sessions that pages, the HTTP API and the command line share.
//!
//! A [`Walk`] does no I/O: it says what to read next, and takes what was read. The server reads in
//! `server`, and the command line itself.

mod filter;
mod matcher;
mod place;
pub(crate) mod server;
mod walk;

pub use filter::Filter;
pub use matcher::Matcher;
pub use place::{Cursor, Sort};
pub use walk::{Found, READ, Walk};
