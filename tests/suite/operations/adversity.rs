//! I6 with connections that hang instead of ending: behind a proxy that freezes, loses or cuts
//! them, and with stopped backends. Service returns without help, and readiness reports the state
//! that requests meet.

use std::process::Command;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Integer;

use crate::support::proxy::{Direction, Proxy};
use crate::support::server::Browser;
use crate::support::{Cluster, Database, Load, Server, wait_until};

/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The time within which hanging work is abandoned and replaced: `2 × timeout + 1 s`, and some more
/// for a slow machine.
const BACK_WITHIN: Duration = Duration::from_secs(4);

const SETTINGS: [(&str, &str); 2] = [
    ("ROCKET_SESSIONS", r#"{timeout="500ms"}"#),
    ("RUST_LOG", "warn,rocket::launch=off"),
];

/// A server that reaches its database through a proxy.
struct Setting {
    proxy: Proxy,
    server: Server,
    database: Database,
    _cluster: Cluster,
}

impl Setting {
    /// `None` if PostgreSQL is to be skipped.
    fn new() -> Option<Self> {
        let cluster = Cluster::start()?;
        let database = Database::on(cluster.url());
        let (proxy, url) = Proxy::before(cluster.url());
        let database = database.reached_by(&url);
        let server = Server::start_with(&database, &SETTINGS);
        Some(Self {
            proxy,
            server,
            database,
            _cluster: cluster,
        })
    }

    fn readiness(&self) -> u16 {
        self.server.client().get("/readyz").status
    }
}

/// Waits until service is back and prints how long that took since `start`.
fn assert_back(setting: &Setting, load: &Load, start: Instant, what: &str) {
    load.wait_until_served();
    let took = start.elapsed();
    eprintln!("{what}: served again after {took:.1?}");
    assert!(took < BACK_WITHIN, "{what}: {took:.1?}");
    let refused = load.refused();
    load.wait_for_counts(100);
    assert_eq!(load.refused(), refused, "{what}: refused again");
    assert_eq!(setting.readiness(), 200, "{what}");
}

/// Asserts that readiness is 503 within two timeouts while all requests are refused.
fn assert_not_ready(setting: &Setting, what: &str) {
    let start = Instant::now();
    while setting.readiness() == 200 {
        assert!(
            start.elapsed() < 3 * TIMEOUT,
            "{what}: ready, and refuses all"
        );
    }
}

/// Runs `harm` under load and asserts that service returns. The value that `harm` returns is
/// dropped at the end.
fn under_load<T>(what: &str, harm: impl FnOnce(&Setting) -> T) {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    // A briefly slow network makes each worker take a connection.
    setting.proxy.delay(Duration::from_millis(20));
    wait_until("all workers have a connection", || {
        setting.proxy.connections() > 4
    });
    setting.proxy.delay(Duration::ZERO);
    load.wait_for_counts(100);
    let start = Instant::now();
    let _harm = harm(&setting);
    load.wait_until_refused();
    assert_back(&setting, &load, start, what);
    assert_eq!(load.unanswered(), 0);
    load.end();
}

#[test]
fn i6_frozen_connections_are_abandoned() {
    under_load("existing connections freeze", |setting| {
        setting.proxy.freeze_existing();
    });
}

#[test]
fn i6_connections_whose_answers_are_lost_are_abandoned() {
    under_load("answers are lost", |setting| {
        setting.proxy.drop_existing(Direction::Down);
    });
}

#[test]
fn i6_connections_whose_queries_are_lost_are_abandoned() {
    under_load("questions are lost", |setting| {
        setting.proxy.drop_existing(Direction::Up);
    });
}

#[test]
fn i6_connections_reset_under_load_are_made_again() {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    for _ in 0..5 {
        load.wait_for_counts(50);
        let start = Instant::now();
        setting.proxy.reset_existing();
        assert_back(&setting, &load, start, "connections are reset");
    }
    assert_eq!(load.unanswered(), 0);
    load.end();
}

/// Stopped processes, which continue when this is dropped.
struct Stopped(Vec<i32>);

impl Stopped {
    fn new(pids: Vec<i32>) -> Self {
        assert!(signal("-STOP", &pids));
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Some may have ended.
        let _ = signal("-CONT", &self.0);
    }
}

/// Sends a signal. Returns whether all processes existed.
fn signal(signal: &str, pids: &[i32]) -> bool {
    let pids = pids.iter().map(i32::to_string);
    let sent = Command::new("kill").arg(signal).args(pids).status();
    sent.unwrap().success()
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Returns the server processes of the connections to this database, except our own.
fn backends(database: &Database) -> Vec<i32> {
    let mut connection = PgConnection::establish(database.direct_url()).unwrap();
    let found: Vec<Backend> = diesel::sql_query(
        "SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .load(&mut connection)
    .unwrap();
    found.into_iter().map(|backend| backend.pid).collect()
}

/// The number of backends that have written and not committed.
const WRITING: &str = "SELECT count(*) AS n FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_xid IS NOT NULL";

#[test]
fn i6_stopped_backends_are_abandoned() {
    under_load("backends are stopped", |setting| {
        // A backend stopped in the middle of a write would keep its row locked.
        loop {
            let pids = backends(&setting.database);
            assert!(!pids.is_empty());
            let stopped = Stopped::new(pids);
            if setting.database.number(WRITING) == 0 {
                return stopped;
            }
        }
    });
}

#[test]
fn i6_service_returns_after_a_network_outage_of_six_seconds() {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    load.wait_for_counts(100);
    setting.proxy.freeze_all();
    let start = Instant::now();
    load.wait_until_refused();
    assert_not_ready(&setting, "a network that stands still");
    while start.elapsed() < Duration::from_secs(6) {
        let asked = Instant::now();
        let reply = setting.server.client().get("/api/session/test-session");
        assert_eq!((reply.status, reply.set_cookie), (503, None));
        let took = asked.elapsed();
        assert!(took < 2 * TIMEOUT, "503 after {took:.1?}");
        assert_eq!(setting.readiness(), 503);
    }
    setting.proxy.thaw();
    assert_back(
        &setting,
        &load,
        Instant::now(),
        "a network that stood still",
    );
    assert_eq!(load.unanswered(), 0);
    load.end();
}

/// Cuts the connections of an idle server and asserts that a new visitor is then served.
fn the_first_write_is_served_after(cut: impl Fn(&Proxy)) {
    let Some(setting) = Setting::new() else {
        return;
    };
    for _ in 0..5 {
        assert_eq!(setting.server.client().visit(), 1);
        wait_until("connections are open", || setting.proxy.connections() > 0);
        cut(&setting.proxy);
        // Wait until the server's kernel has noticed.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(setting.server.client().visit(), 1);
    }
}

#[test]
fn i6_connections_closed_while_idle_cost_no_write() {
    the_first_write_is_served_after(Proxy::close_existing);
}

#[test]
fn i6_connections_reset_while_idle_cost_no_write() {
    the_first_write_is_served_after(Proxy::reset_existing);
}

#[test]
fn i6_requests_are_served_over_a_slow_network() {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    setting.proxy.delay(Duration::from_millis(20));
    load.wait_for_counts(50);
    assert_eq!(load.refused(), 0);
    // New connections wait in the backlog, while existing ones continue.
    setting.proxy.accept(false);
    load.wait_for_counts(50);
    setting.proxy.accept(true);
    assert_eq!(load.unanswered(), 0);
    load.end();
}

/// Logins bypass the queue. Hanging logins must not block later ones, however many there are.
#[test]
fn i6_hanging_logins_are_abandoned() {
    let Some(setting) = Setting::new() else {
        return;
    };
    let body = r#"{"username":"ada","password":"correct horse battery"}"#;
    let enter = |how: &str| {
        let mut browser = setting.server.client();
        let reply = browser.post(&format!("/api/auth/{how}"), body);
        (browser, reply.status)
    };
    let (mut ada, status) = enter("register");
    assert_eq!(status, 201);
    setting.proxy.freeze_existing();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| enter("login"));
        }
    });
    let lists = |browser: &mut Browser| browser.get("/api/account/sessions").status;
    wait_until("lists are served", || lists(&mut ada) == 200);
    wait_until("logins are served", || enter("login").1 == 200);
    let took = start.elapsed();
    eprintln!("logins are served again after {took:.1?}");
    assert!(took < 2 * BACK_WITHIN, "{took:.1?}");
    for _ in 0..5 {
        assert_eq!(enter("login").1, 200);
        assert_eq!(lists(&mut ada), 200);
    }
}
