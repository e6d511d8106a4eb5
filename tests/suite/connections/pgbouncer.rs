//! PgBouncer in transaction mode. The suite's tests of stores and servers run through one with
//! `TEST_PGBOUNCER=1` (see tests/run). This file tests what they do not cover.

use rocket_diesel_sessions::testing::conformance;

use crate::support::{Cluster, Database, Load, Server};

/// By default, PgBouncer refuses settings at the start of a connection.
#[test]
fn a_pgbouncer_that_refuses_settings_is_used_without_them() {
    if std::env::var("TEST_PGBOUNCER").is_err() {
        eprintln!("TEST_PGBOUNCER is not set: PgBouncer may not be installed");
        return;
    }
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let pooler = cluster.tell("pgbouncer");
    let database = Database::on(cluster.url()).through(&pooler);
    let store = database.store();
    conformance::run(&*store).unwrap();
    let through_it = "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'pooled'";
    assert!(database.number(through_it) > 0);
    let server = Server::start_with(&database, &[]);
    let load = Load::on(&[&server]);
    load.wait_for_counts(300);
    assert_eq!(load.refused() + load.unanswered(), 0);
    load.end();
}
