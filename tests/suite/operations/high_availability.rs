//! Three PostgreSQL nodes under Patroni: a node dies, stops to answer or is relieved of its office
//! under a steady load, and nobody does anything about it.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use crate::support::outages::SETTINGS;
use crate::support::visitor::Browser;
use crate::support::{Database, Load, Patroni, Server, wait_patiently};

/// How long after a new primary accepts writes all clients are served again.
const LIMIT: Duration = Duration::from_secs(2);

/// The default `timeout` within which a request is answered, and as much again for a busy machine.
const LONGEST_REQUEST: Duration = Duration::from_secs(4);

/// Three nodes, a server that knows all of them, its load, and a user who is signed in.
struct Service {
    patroni: Patroni,
    database: Database,
    server: Server,
    load: Load,
    user: Browser,
}

impl Service {
    fn start() -> Option<Self> {
        let mut patroni = Patroni::start()?;
        let primary = patroni.settle();
        let database = Database::on(&patroni.nodes()[primary]);
        database.execute("CREATE TABLE seen (at timestamptz NOT NULL)");
        let name = database.name();
        wait_patiently("the standbys have the database too", || {
            let has_it = |node| PgConnection::establish(&format!("{node}/{name}")).is_ok();
            patroni.nodes().into_iter().all(has_it)
        });
        let url = format!(
            "{}/{name}?target_session_attrs=read-write",
            patroni.url_from(primary)
        );
        let environment = [SETTINGS[0], SETTINGS[1], ("DATABASE_URL", &url)];
        let server = Server::start_with(&database, &environment);
        let mut user = server.client();
        let registered = user.post(
            "/api/auth/register",
            r#"{"username":"ada","password":"correct horse battery"}"#,
        );
        assert_eq!(registered.status, 201, "{}", registered.body);
        let load = Load::on(&[&server]);
        load.wait_for_counts(200);
        Some(Self {
            patroni,
            database,
            server,
            load,
            user,
        })
    }

    /// Waits until a node other than `lost` commits a write. Returns how long that took.
    fn wait_for_a_primary(&self, lost: usize) -> Duration {
        let start = Instant::now();
        let mut nodes = self.patroni.nodes();
        nodes.remove(lost);
        let name = self.database.name();
        wait_patiently("another node accepts writes", || {
            nodes.iter().any(|node| accepts_writes(node, name))
        });
        start.elapsed()
    }

    /// Asserts that all clients are served within [`LIMIT`], that no request took longer than it
    /// may, and that no one has been signed out.
    fn assert_back(&mut self, what: &str, failover: Duration) {
        let took = self.load.wait_until_served();
        let (slowest, refused) = (self.load.slowest(), self.load.refused());
        eprintln!(
            "{what}: a primary after {failover:.1?}, service {took:.1?} later, {refused} requests \
             refused, the slowest took {slowest:.1?}"
        );
        assert!(took < LIMIT, "{what}: service was back only after {took:?}");
        assert!(
            slowest < LONGEST_REQUEST,
            "{what}: a request took {slowest:?}"
        );
        self.load.wait_for_counts(100);
        assert_eq!(self.load.refused(), refused, "{what}: refused again");
        assert_eq!(self.load.unanswered(), 0, "{what}");
        let devices = self.user.get("/api/account/sessions");
        assert_eq!(devices.status, 200, "{what}: {}", devices.body);
    }

    fn end(self) {
        self.load.end_and_compare(&self.server);
    }
}

/// Returns whether a node commits a write.
fn accepts_writes(node: &str, database: &str) -> bool {
    let url = format!("{node}/{database}?connect_timeout=2&target_session_attrs=read-write");
    PgConnection::establish(&url).is_ok_and(|mut connection| {
        let insert = "INSERT INTO seen VALUES (now())";
        connection.batch_execute(insert).is_ok()
    })
}

#[test]
fn i5_acknowledged_writes_survive_a_dead_machine_under_patroni() {
    let Some(mut service) = Service::start() else {
        return;
    };
    let dead = service.patroni.settle();
    service.patroni.tell("kill", dead);
    let took = service.wait_for_a_primary(dead);
    service.assert_back("kill -9 of the primary's node", took);

    // It joins as a standby, and the service does not notice.
    let refused = service.load.refused();
    service.patroni.tell("start", dead);
    let primary = service.patroni.settle();
    assert_ne!(primary, dead);
    service.load.wait_for_counts(100);
    assert_eq!(service.load.refused(), refused);

    let start = Instant::now();
    assert_ne!(service.patroni.switchover(), primary);
    service.wait_for_a_primary(primary);
    service.assert_back("planned switchover", start.elapsed());
    service.end();
}

#[test]
fn i5_acknowledged_writes_survive_a_frozen_machine_under_patroni() {
    let Some(mut service) = Service::start() else {
        return;
    };
    let frozen = service.patroni.settle();
    service.patroni.tell("freeze", frozen);
    let took = service.wait_for_a_primary(frozen);
    service.assert_back("a primary that says nothing more", took);

    // Back again, it is told that it is no longer the primary, and no one has written to it.
    let refused = service.load.refused();
    service.patroni.tell("thaw", frozen);
    assert_ne!(service.patroni.settle(), frozen);
    service.load.wait_for_counts(100);
    assert_eq!(service.load.refused(), refused);
    service.end();
}
