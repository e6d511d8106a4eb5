//! Fail-over: a primary that dies, and a standby that takes its place, under a steady load.

use crate::support::outages::{SETTINGS, assert_back};
use crate::support::{Cluster, Database, Load, Server};

/// The same database on both servers, as libpq takes it.
fn on_both(primary: &Database, standby: &str) -> String {
    let (_, address) = standby.split_once('@').unwrap();
    let (server, name) = primary.raw_url().rsplit_once('/').unwrap();
    format!("{server},{address}/{name}?target_session_attrs=read-write")
}

#[test]
fn i5_what_was_acknowledged_is_there_after_a_failover() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let standby = cluster.tell("standby");
    let url = on_both(&database, &standby);
    let environment = [SETTINGS[0], SETTINGS[1], ("DATABASE_URL", &url)];
    let server = Server::start_with(&database, &environment);
    let load = Load::on(&[&server]);
    load.wait_for_counts(200);
    cluster.tell("kill");
    load.wait_until_refused();
    cluster.tell("promote");
    assert_back(&load, "promotion of the standby");
    assert_eq!(load.unanswered(), 0);
    load.end();
}
