//! The session cookie: what it looks like, and the signed token in it.

pub(super) mod keys;
pub(super) mod policy;
pub(super) mod token;
