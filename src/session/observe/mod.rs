//! What is told of sessions: metrics, usage, hooks and rare log lines.

pub(super) mod events;
pub(super) mod metrics;
pub(super) mod monitor;
pub(super) mod seldom;
pub(super) mod usage;
