//! Who sends a request: a signed-in user, an administrator, a visitor who may register.

pub(super) mod admin;
pub(super) mod admin_token;
pub(super) mod registration;
pub(super) mod signed_in;
