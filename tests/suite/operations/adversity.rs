//! I6 where connections do not end but hang: behind a proxy that freezes, loses or cuts them, and on
//! backends that are stopped. Service returns by itself, and readiness says what requests meet.

use std::process::Command;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Integer;

use crate::support::proxy::{Direction, Proxy};
use crate::support::server::Browser;
use crate::support::{Cluster, Database, Load, Server, wait_until};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Within this, what hangs is given up and replaced: `2 × timeout + 1 s`, and a little for a slow
/// machine.
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

/// Waits until service is back, and says how long that took since `start`.
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

/// Readiness is 503 within two timeouts while all requests are refused.
fn assert_not_ready(setting: &Setting, what: &str) {
    let start = Instant::now();
    while setting.readiness() == 200 {
        assert!(
            start.elapsed() < 3 * TIMEOUT,
            "{what}: ready, and refuses all"
        );
    }
}

/// What `harm` returns is dropped at the end.
fn under_load<T>(what: &str, harm: impl FnOnce(&Setting) -> T) {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    // A network that is slow for a moment makes a worker each take a connection.
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
fn i6_connections_that_freeze_are_given_up() {
    under_load("existing connections freeze", |setting| {
        setting.proxy.freeze_existing();
    });
}

#[test]
fn i6_connections_whose_answers_are_lost_are_given_up() {
    under_load("answers are lost", |setting| {
        setting.proxy.drop_existing(Direction::Down);
    });
}

#[test]
fn i6_connections_whose_questions_are_lost_are_given_up() {
    under_load("questions are lost", |setting| {
        setting.proxy.drop_existing(Direction::Up);
    });
}

#[test]
fn i6_connections_that_are_reset_under_load_are_made_again() {
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

/// Stopped processes that go on when this ends.
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

/// Returns whether all of them were there.
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

/// The server processes of the connections to this database, but for our own.
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
fn i6_backends_that_stand_still_are_given_up() {
    under_load("backends are stopped", |setting| {
        // One that stood still in the middle of a write would keep its row locked.
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
fn i6_a_network_that_stands_still_for_six_seconds_serves_on() {
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

/// Cuts the connections of a server that has nothing to do; the next visitor, who is new, is served.
fn the_first_write_is_served_after(cut: impl Fn(&Proxy)) {
    let Some(setting) = Setting::new() else {
        return;
    };
    for _ in 0..5 {
        assert_eq!(setting.server.client().visit(), 1);
        wait_until("connections are open", || setting.proxy.connections() > 0);
        cut(&setting.proxy);
        // Until the server's kernel knows of it.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(setting.server.client().visit(), 1);
    }
}

#[test]
fn i6_connections_that_are_closed_while_idle_cost_no_write() {
    the_first_write_is_served_after(Proxy::close_existing);
}

#[test]
fn i6_connections_that_are_reset_while_idle_cost_no_write() {
    the_first_write_is_served_after(Proxy::reset_existing);
}

#[test]
fn i6_a_slow_network_serves_on() {
    let Some(setting) = Setting::new() else {
        return;
    };
    let load = Load::on(&[&setting.server]);
    setting.proxy.delay(Duration::from_millis(20));
    load.wait_for_counts(50);
    assert_eq!(load.refused(), 0);
    // New connections wait in the backlog: those there are go on.
    setting.proxy.accept(false);
    load.wait_for_counts(50);
    setting.proxy.accept(true);
    assert_eq!(load.unanswered(), 0);
    load.end();
}

/// Logins do not go through the queue: as many as hang do not keep later ones out.
#[test]
fn i6_logins_that_hang_are_given_up() {
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
