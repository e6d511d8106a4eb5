//! Support for the tests: real databases, real servers, and visitors with a cookie jar.

mod altered;
mod applications;
mod browser;
mod databases;
mod logged;
mod metric;
#[macro_use]
mod on_each_database;
mod programs;
mod stores;
mod wait;

pub(crate) use altered::altered;
pub(crate) use applications::{Visitor, accounts, cookie, embedded, exported, local, typed, users};
pub(crate) use browser::{Chromium, Tab, axe, focus, look, site};
pub(crate) use databases::{
    AppPool, Citus, Cluster, Database, Kind, Patroni, Sql, certificates, fake_postgres, proxy,
};
pub(crate) use logged::{logged, logged_at};
pub(crate) use metric::{metric, metric_of, queued};
pub(crate) use programs::{
    Load, Server, command_line, example, log, nginx, outages, server, start, terminal, visitor,
};
pub(crate) use stores::{faulty, gathered, hooked, memory, sessions};
pub(crate) use wait::{holds_for, wait_for, wait_patiently, wait_until};
