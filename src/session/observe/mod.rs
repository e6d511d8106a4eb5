//! Observation of sessions: metrics, usage statistics, hooks and rate-limited log lines.

pub(super) mod archive;
pub(super) mod context;
mod event_log;
pub(super) mod events;
pub(super) mod metrics;
pub(super) mod monitor;
pub(super) mod prepared;
pub(super) mod seldom;
pub(super) mod statistics;
pub(super) mod usage;
pub(super) mod watchers;
#[cfg(feature = "webhook")]
pub(super) mod webhook;
