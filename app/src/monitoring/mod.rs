//! What operators see: health, metrics and the audit log.

pub mod audit;
pub(super) mod counters;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod process;
