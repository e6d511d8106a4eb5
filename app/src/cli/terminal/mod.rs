//! The terminal: what is asked there, and what is printed and made harmless.

pub(super) mod ask;
pub(super) mod output;
pub(super) mod table;
