//! Support for tests: a clock that is moved by hand, example rows, and conformance checks for
//! stores.

pub mod conformance;
mod sessions;

pub use self::sessions::new_session;
pub use crate::session::ManualClock;
