//! Sessions distributed over a Citus cluster of three nodes. Skipped where Citus is not installed.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::testing::conformance;

use crate::store::portable::assert_locked_row_is_held;
use crate::support::command_line::{assert_fails, run};
use crate::support::outages::{SETTINGS, assert_back};
use crate::support::sessions::{create_expired, create_live, new_session};
use crate::support::visitor::Browser;
use crate::support::{Citus, Database, Load, Server, wait_patiently, wait_until};

static CITUS: LazyLock<Option<Citus>> = LazyLock::new(Citus::start);

/// Returns a database with distributed tables.
fn distributed() -> Option<Database> {
    let database = CITUS.as_ref()?.database();
    assert!(!database.store().distribute().unwrap().is_empty());
    Some(database)
}

#[test]
fn a_distributed_store_keeps_every_promise_of_a_store() {
    let Some(database) = distributed() else {
        return;
    };
    conformance::run(&*database.store()).unwrap();
}

#[test]
fn distributing_keeps_sessions_and_users_and_can_be_repeated() {
    let Some(citus) = CITUS.as_ref() else {
        return;
    };
    let database = citus.database();
    let store = database.store();
    database.add_users(&["ada"]);
    let (mine, anonymous) = (new_session(Some("ada")), new_session(None));
    store.create(&[mine.clone(), anonymous.clone()]).unwrap();
    let done = run(&database, &["migrate", "--distribute"]);
    assert!(done.contains(": sessions is distributed by id"), "{done}");
    assert!(done.contains(": users is on every node"), "{done}");
    let again = run(&database, &["migrate", "--distribute"]);
    assert!(again.contains("distributed already"), "{again}");
    let kept = store
        .load(&[mine.session_id, anonymous.session_id])
        .unwrap();
    assert_eq!(kept.len(), 2);
    // A session still ends with its user.
    database.execute("DELETE FROM users WHERE id = 'ada'");
    let left = store
        .load(&[mine.session_id, anonymous.session_id])
        .unwrap();
    assert_eq!(left.len(), 1);
    let shards = "SELECT count(*) AS n FROM citus_shards WHERE table_name = 'sessions'::regclass";
    assert!(database.number(shards) > 1);
    let error = store.revert_migrations().unwrap_err().to_string();
    assert!(error.contains("distributed"), "{error}");
}

/// Servers that were started before the distribution use other statements after it.
#[test]
fn servers_go_on_when_the_tables_are_distributed_under_them() {
    let Some(citus) = CITUS.as_ref() else {
        return;
    };
    let database = citus.database();
    let server = Server::start_with(&database, &SETTINGS);
    let load = Load::on(&[&server]);
    load.wait_for_counts(50);
    database.bare_store().distribute().unwrap();
    assert_back(&load, "distribution of the tables");
    let store = database.bare_store();
    create_expired(&store, 1000);
    wait_until("the server has swept", || database.sessions() < 1000);
    load.end();
}

#[test]
fn i1_counts_on_one_distributed_session_are_exact_over_two_servers() {
    let Some(database) = distributed() else {
        return;
    };
    let servers = [(); 2].map(|()| Server::start_with(&database, &SETTINGS));
    let mut first = servers[0].client();
    assert_eq!(first.visit(), 1);
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number: usize| {
                let (mut browser, servers) = (first.clone(), &servers);
                scope.spawn(move || {
                    let mut visit = |turn: usize| {
                        browser.set_url(servers[(number + turn) % 2].url());
                        browser.visit()
                    };
                    (0..40).map(&mut visit).collect::<Vec<u64>>()
                })
            })
            .collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.flatten().collect()
    });
    assert_eq!(counts.len(), 320);
    let distinct: BTreeSet<u64> = counts.into_iter().collect();
    assert_eq!(distinct, (2..=321).collect());
}

/// How often each visitor is counted while connections break.
const COUNTS: usize = 20;

/// Commands of a commit to which a worker's answer is lost: of a transaction on one worker, and of
/// the two phases of one on several.
const UNANSWERED: [&str; 3] = ["COMMIT\0", "PREPARE TRANSACTION", "COMMIT PREPARED"];

/// Connections to the workers break between any commands, and also after a worker has committed
/// and before it says so.
#[test]
fn i1_a_write_that_breaks_on_a_node_is_not_made_twice() {
    let Some(citus) = CITUS.as_ref() else {
        return;
    };
    let (database, proxies) = citus.database_behind_proxies();
    database.store().distribute().unwrap();
    // Activity is written beside the counts, so a batch has several statements.
    let settings = [("ROCKET_SESSIONS", r#"{touch_interval="0s"}"#), SETTINGS[1]];
    let server = Server::start_with(&database, &settings);
    // One after the other, because Citus shows what several workers commit only after a while if
    // it is cut.
    let visitors = [(); 6].map(|()| {
        let mut visitor = server.client();
        assert_eq!(visitor.visit(), 1);
        visitor
    });
    let counted = AtomicUsize::new(0);
    let clients: Vec<std::thread::Result<(u64, u64)>> = std::thread::scope(|scope| {
        let counted = &counted;
        let clients = visitors.map(|visitor| scope.spawn(move || count(visitor, counted)));
        let are_done = || clients.iter().all(ScopedJoinHandle::is_finished);
        for turn in 0.. {
            // However slow the machine is, connections last long enough for a count.
            let before = counted.load(Ordering::SeqCst);
            let is_counted = || counted.load(Ordering::SeqCst) > before;
            wait_patiently("a visitor is counted", || is_counted() || are_done());
            if are_done() {
                break;
            }
            let proxy = &proxies[turn % 2];
            if turn % 4 < 2 {
                proxy.reset_existing();
            } else {
                proxy.lose_answer_to(UNANSWERED[turn / 4 % 3]);
            }
        }
        clients.map(ScopedJoinHandle::join).into()
    });
    let (mut refused, mut but_counted) = (0, 0);
    for client in clients {
        let of_client = client.unwrap_or_else(|failure| {
            eprintln!("{}", server.log());
            resume_unwind(failure)
        });
        refused += of_client.0;
        but_counted += of_client.1;
    }
    eprintln!("{refused} requests were refused, and {but_counted} of them counted");
    assert!(refused > 0, "no write was broken");
}

/// Counts on a visitor's own session, which has counted once, until it is answered so often. A
/// request that is answered 503 may have been counted, and every other one is counted once. Returns
/// the number of requests answered 503, and how many of them were counted.
fn count(mut visitor: Browser, counted: &AtomicUsize) -> (u64, u64) {
    let (mut last, mut refused, mut but_counted) = (1, 0, 0);
    for _ in 0..COUNTS {
        let mut replies = Vec::new();
        wait_patiently("the visitor is served", || {
            replies.push(visitor.get("/api/session/test-session"));
            replies.last().unwrap().status != 503
        });
        let reply = replies.pop().unwrap();
        let unknown = replies.len() as u64;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let count = reply.json()["visitCount"].as_u64().unwrap();
        assert!(
            (last + 1..=last + 1 + unknown).contains(&count),
            "{count} after {last} and {unknown} times 503"
        );
        refused += unknown;
        but_counted += count - last - 1;
        last = count;
        counted.fetch_add(1, Ordering::SeqCst);
    }
    (refused, but_counted)
}

#[test]
fn i10_a_sweep_deletes_100_000_distributed_sessions_and_no_live_one() {
    let Some(database) = distributed() else {
        return;
    };
    let store = database.store();
    create_live(&*store, 2_000);
    create_expired(&*store, 100_000);
    let start = std::time::Instant::now();
    let swept = StoreAdmin::new(&*store).sweep(chrono::Utc::now(), |_| {});
    eprintln!("swept in {:.1?}", start.elapsed());
    assert_eq!(swept.unwrap().deleted, 100_000);
    assert_eq!(database.sessions(), 2_000);
}

/// The limits of a statement reach the nodes, which a connection's settings do not.
#[test]
fn i11_a_locked_row_on_a_node_holds_up_no_other() {
    let Some(database) = distributed() else {
        return;
    };
    assert_locked_row_is_held(&database.store(), &database);
    let store = database.store();
    create_live(&*store, 5_000);
    StoreAdmin::new(&*store)
        .clear(chrono::Utc::now(), |_| {})
        .unwrap();
    assert_eq!(database.sessions(), 0);
}

#[test]
fn accounts_work_on_distributed_tables() {
    let Some(database) = distributed() else {
        return;
    };
    let server = Server::start_with(&database, &SETTINGS);
    let credentials = r#"{"username": "ada", "password": "correct horse battery"}"#;
    let mut ada = server.client();
    let mut enter = |action: &str| ada.post(&format!("/api/auth/{action}"), credentials).status;
    assert_eq!(enter("register"), 201);
    assert_eq!(
        server.client().post("/api/auth/login", credentials).status,
        200
    );
    let of_users = "SELECT count(*) AS n FROM sessions WHERE user_id IS NOT NULL";
    assert_eq!(database.number(of_users), 2);
    run(&database, &["users", "disable", "ada"]);
    assert_eq!(database.number(of_users), 0);
    assert_eq!(enter("login"), 401);
    run(&database, &["users", "enable", "ada"]);
    assert_eq!(enter("login"), 200);
    let events = "SELECT count(*) AS n FROM session_events WHERE user_id IS NOT NULL";
    wait_until("events are recorded", || database.number(events) > 0);
    run(&database, &["users", "delete", "ada", "--yes"]);
    assert_eq!(database.number(of_users), 0);
    assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
    assert_fails(&database, &["users", "show", "ada"], &["ada"]);
}

/// A worker that is lost takes its sessions along until it is back. The others are served.
#[test]
fn i6_a_lost_worker_refuses_its_sessions_and_logs_nobody_out() {
    let Some(mut citus) = Citus::start() else {
        return;
    };
    let database = citus.database();
    database.store().distribute().unwrap();
    let server = Server::start_with(&database, &SETTINGS);
    let mut visitors: Vec<Browser> = (0..24).map(|_| server.client()).collect();
    for visitor in &mut visitors {
        assert_eq!(visitor.visit(), 1);
    }
    citus.tell_worker(0, "kill");
    let port = citus.port_of_worker(0);
    let lost = database.number(&format!(
        "SELECT count(*) AS n FROM citus_shards \
         WHERE table_name = 'sessions'::regclass AND nodeport = {port}"
    ));
    assert!(lost > 0);
    // Each visitor is served by one of the workers, or refused.
    let visit = |visitor: &mut Browser| {
        let reply = visitor.get("/api/session/test-session");
        assert_eq!(reply.set_cookie, None, "a lost worker is no logout");
        assert!(
            matches!(reply.status, 200 | 503),
            "{}: {}",
            reply.status,
            reply.body
        );
        reply.status == 200
    };
    let mut are_served = || visitors.iter_mut().map(visit).collect::<Vec<bool>>();
    wait_until("the visitors of the other worker are served", || {
        are_served().into_iter().filter(|served| *served).count() >= 4
    });
    let while_lost = are_served();
    assert!(
        while_lost.contains(&false),
        "some sessions are on the lost worker"
    );
    // The same ones again: a lost worker disturbs no others.
    assert_eq!(are_served(), while_lost);
    citus.tell_worker(0, "start");
    wait_until("all visitors are served", || {
        are_served().iter().all(|served| *served)
    });
}
