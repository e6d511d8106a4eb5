//! For tests: a clock that stands until it is told, and what every store must do.

pub mod conformance;

pub use crate::session::ManualClock;
