//! I6 with connections that hang instead of ending: behind a proxy that freezes, loses or cuts
//! them, and with stopped backends. Service returns without help, and readiness reports the state
//! that requests meet.

use std::process::Command;
use std::time::Duration;

use crate::support::proxy::{Direction, Proxy};
use crate::support::visitor::Browser;
use crate::support::{Cluster, Database, Load, Server, holds_for, outages, wait_until};

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

/// Waits until service is back and stays so. Hanging work has to be abandoned for that, because it
/// never ends by itself.
fn assert_back(setting: &Setting, load: &Load, what: &str) {
    outages::assert_back(load, what);
    assert_eq!(setting.readiness(), 200, "{what}");
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
    let _harm = harm(&setting);
    load.wait_until_refused();
    assert_back(&setting, &load, what);
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
        setting.proxy.reset_existing();
        assert_back(&setting, &load, "connections are reset");
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

/// The number of backends that have written and not committed.
const WRITING: &str = "SELECT count(*) AS n FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_xid IS NOT NULL";

#[test]
fn i6_stopped_backends_are_abandoned() {
    under_load("backends are stopped", |setting| {
        // A backend stopped in the middle of a write would keep its row locked.
        loop {
            let pids = setting.database.backends();
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
    load.wait_until_refused();
    wait_until("readiness refuses too", || setting.readiness() == 503);
    // Several times as long as it takes to abandon hanging work.
    holds_for("all is refused", Duration::from_secs(6), || {
        let reply = setting.server.client().get("/api/session/test-session");
        (reply.status, reply.set_cookie) == (503, None) && setting.readiness() == 503
    });
    setting.proxy.thaw();
    assert_back(&setting, &load, "a network that stood still");
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
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| enter("login"));
        }
    });
    let lists = |browser: &mut Browser| browser.get("/api/account/sessions").status;
    wait_until("lists are served", || lists(&mut ada) == 200);
    wait_until("logins are served", || enter("login").1 == 200);
    for _ in 0..5 {
        assert_eq!(enter("login").1, 200);
        assert_eq!(lists(&mut ada), 200);
    }
}
