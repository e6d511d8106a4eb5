//! Real databases, a fake one, and the proxies in front of them.

pub(crate) mod certificates;
mod citus;
mod cluster;
mod database;
pub(crate) mod fake_postgres;
mod patroni;
mod pool;
pub(crate) mod proxy;
mod script;

pub(crate) use citus::Citus;
pub(crate) use cluster::Cluster;
pub(crate) use database::{Database, Kind, Sql};
pub(crate) use patroni::Patroni;
pub(crate) use pool::AppPool;
