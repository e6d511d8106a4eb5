//! Real databases, one that only pretends, and what stands between a database and its clients.

pub(crate) mod certificates;
mod cluster;
mod database;
pub(crate) mod fake_postgres;
pub(crate) mod proxy;

pub(crate) use cluster::Cluster;
pub(crate) use database::{Database, Kind, Sql};
