//! I6: an outage is not a logout.

mod foreign_store;
mod outage;
mod untold_tokens;
