//! The program in operation: start, outages, logs and metrics, deployment, shutdown.

mod adversity;
mod alerts;
mod audit_log;
mod citus;
mod deploy;
mod failover;
mod high_availability;
mod instances;
mod logs;
mod metrics;
mod outages;
mod shutdown;
mod start;
mod start_rights;
mod start_settings;
