//! Stores that fail or wait, one in memory, and sessions to put into them.

mod around;
pub(crate) mod faulty;
pub(crate) mod gathered;
pub(crate) mod hooked;
pub(crate) mod memory;
pub(crate) mod sessions;
