//! Accounts: who may have one, under which name and password, and who may try how often.

pub mod error;
pub mod new_account;
pub(super) mod passwords;
pub(super) mod places;
pub(super) mod throttle;
pub(super) mod username;
pub(super) mod users;
