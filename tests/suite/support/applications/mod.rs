//! Applications in this process, with a clock that tests move.

pub(crate) mod accounts;
pub(crate) mod embedded;
pub(crate) mod local;

pub(crate) use local::Visitor;
