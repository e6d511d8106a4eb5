//! I5 and I6 under a steady load: whatever happens to the database or the server, no acknowledged
//! write is lost, requests in between get a 503 that keeps the cookie, and service returns without
//! help. The load checks each answer.

use chrono::TimeDelta;
use rocket_diesel_sessions::store::SessionStore;

use crate::support::outages::{SETTINGS, assert_back};
use crate::support::sessions::new_session;
use crate::support::{Cluster, Database, Kind, Load, Server, metric_of, wait_until};

/// Runs a test with a server and its load, on a database of the shared server.
fn with_load(test: impl FnOnce(&Database, Server, Load)) {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let server = Server::start_with(&database, &SETTINGS);
    let load = Load::on(&[&server]);
    test(&database, server, load);
}

#[test]
fn i5_acknowledged_writes_survive_a_killed_server() {
    with_load(|database, server, load| {
        load.wait_for_counts(200);
        server.kill();
        let server = Server::start_with(database, &SETTINGS);
        load.go_to(&[&server]);
        assert_back(&load, "kill -9 of the server");
        assert_eq!(load.refused(), 0);
        load.end();
    });
}

#[test]
fn i6_service_returns_after_the_database_is_restarted() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let server = Server::start_with(&database, &SETTINGS);
    let load = Load::on(&[&server]);
    cluster.tell("stop");
    load.wait_until_refused();
    // The log reports the outage, and not each pass that fails during it.
    wait_until("a pass of the sweep fails", || {
        let metrics = server.client().get("/metrics").body;
        metric_of(&metrics, "sessions_sweep_failures_total") > 0
    });
    cluster.tell("start");
    assert_back(&load, "stop and start of PostgreSQL");
    assert_eq!(load.unanswered(), 0);
    load.end();
    // The sweep has continued too.
    let mut expired = new_session(None);
    expired.expires_at -= TimeDelta::days(2);
    database.store().create(&[expired]).unwrap();
    wait_until("it is swept", || database.sessions() == 4);
}

#[test]
fn i5_acknowledged_writes_survive_a_crash_of_the_database() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let database = Database::on(cluster.url());
    let server = Server::start_with(&database, &SETTINGS);
    let load = Load::on(&[&server]);
    for _ in 0..2 {
        load.wait_for_counts(300);
        cluster.tell("crash");
        load.wait_until_refused();
        cluster.tell("start");
        assert_back(&load, "crash of PostgreSQL");
    }
    assert_eq!(load.unanswered(), 0);
    load.end();
}

#[test]
fn i6_cut_connections_are_made_again() {
    with_load(|database, _server, load| {
        let name = database.name();
        for _ in 0..5 {
            database.execute_on_server(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ));
            assert_back(&load, "all connections cut");
        }
        assert_eq!(load.unanswered(), 0);
        load.end();
    });
}

#[test]
fn i6_service_returns_after_the_table_was_locked_for_a_while() {
    with_load(|database, _server, load| {
        let mut holder = database.connection();
        holder.run("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
        for _ in 0..20 {
            load.wait_until_refused();
        }
        holder.run("ROLLBACK");
        assert_back(&load, "a table lock");
        assert_eq!(load.unanswered(), 0);
        load.end();
    });
}

#[test]
fn i6_service_returns_after_the_disk_was_full() {
    with_load(|database, _server, load| {
        database.execute(
            "CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file: No space left on device' \
             USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON sessions \
             EXECUTE FUNCTION disk_full()",
        );
        for _ in 0..20 {
            load.wait_until_refused();
        }
        database.execute("DROP TRIGGER disk_full ON sessions");
        assert_back(&load, "a full disk");
        assert_eq!(load.unanswered(), 0);
        load.end();
    });
}
