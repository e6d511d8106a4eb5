//! Accounts: usernames and passwords, limits on attempts, and how the sessions of users begin and
//! end.

pub mod administration;
pub mod error;
pub mod new_account;
pub(super) mod own_account;
pub(super) mod passwords;
mod record;
pub mod refusal;
pub(super) mod revoke;
pub(super) mod rules;
pub(super) mod settings;
pub(super) mod sign_in;
pub(super) mod username;
pub(super) mod users;
