//! Everything that needs a database or a running server. One binary, because linking costs more
//! than running. Tests of an invariant carry its number (see docs/architecture.md).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod support;

mod browser;
mod command_line;
mod connections;
mod examples;
mod http;
mod invariants;
mod library;
mod model;
mod operations;
mod pages;
mod store;
mod transports;
