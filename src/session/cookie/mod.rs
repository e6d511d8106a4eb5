//! The session cookie: its attributes, its signature and the token in it.

pub(super) mod device;
pub(super) mod keys;
pub(super) mod policy;
pub(super) mod seal;
pub(super) mod token;
