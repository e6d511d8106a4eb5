//! Everything that needs a database or a running server. One binary, because linking costs more
//! than running. Tests of an invariant carry its number (see docs/architecture.md).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod support;

mod account_pages;
mod accounts;
mod admin_pages;
mod adversity;
mod after_the_answer;
mod api;
mod audit_log;
mod bad_input;
mod behind_a_proxy;
mod browser;
mod command_line;
mod command_line_changes;
mod command_line_config;
mod command_line_database;
mod command_line_users;
mod connecting;
mod connections;
mod deploy;
mod failover;
mod held_rows;
mod i10_sweep;
mod i11_blast_radius;
mod i12_refused_by_name;
mod i12_sqlite_files;
mod i13_read_back;
mod i1_no_lost_update;
mod i2_no_resurrection;
mod i3_no_fixation;
mod i4_expiry;
mod i5_durability;
mod i6_outage;
mod i6_untold_tokens;
mod i7_forged_cookies;
mod i8_secrets;
mod i8_urls;
mod i9_statements;
mod instances;
mod last_administrator;
mod library;
mod logs;
mod metrics;
mod migrations;
mod model;
mod open_administration;
mod other_programs;
mod outages;
mod page_errors;
mod pages;
mod passwords;
mod pgbouncer;
mod pipeline;
mod plans;
mod raw_paths;
mod registration;
mod request_ids;
mod rolling_deploy;
mod shutdown;
mod sign_in_pages;
mod site;
mod stale_connections;
mod start;
mod start_rights;
mod start_settings;
mod statistics;
mod store;
mod terminal;
mod tls;
mod undo_races;
mod user_races;
mod users;
