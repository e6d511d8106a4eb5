//! The terminal: questions, output, and tables of text that cannot harm it.

pub(super) mod ask;
pub(super) mod help;
pub(super) mod output;
pub(super) mod progress;
pub(super) mod table;
