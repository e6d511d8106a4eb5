//! Applications in this process, with a clock that tests move.

pub(crate) mod accounts;
pub(crate) mod cookie;
pub(crate) mod embedded;
pub(crate) mod exported;
pub(crate) mod local;
pub(crate) mod typed;
pub(crate) mod users;

pub(crate) use local::Visitor;
