//! I6: an outage is no logout.

mod foreign_store;
mod outage;
mod untold_tokens;
