//! Failover under a steady load: the primary dies, and a standby takes its place.

use crate::support::outages::{SETTINGS, assert_back};
use crate::support::{Cluster, Database, Load, Server};

/// Returns a libpq URL of the same database on both servers.
fn on_both(primary: &Database, standby: &str) -> String {
    let (_, address) = standby.split_once('@').unwrap();
    let (server, name) = primary.raw_url().rsplit_once('/').unwrap();
    format!("{server},{address}/{name}?target_session_attrs=read-write")
}

#[test]
fn i5_acknowledged_writes_survive_a_failover() {
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
