//! I6: an outage is no logout.

mod outage;
mod untold_tokens;
