//! Support for tests: a clock that is moved by hand, and conformance checks for stores.

pub mod conformance;

pub use crate::session::ManualClock;
