//! Who asks: a signed-in user, an administrator.

pub(super) mod admin;
pub(super) mod signed_in;
