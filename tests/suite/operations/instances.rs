//! Several servers on one PostgreSQL database: none has state that another would miss.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Stdio;

use crate::support::outages::SETTINGS;
use crate::support::server::program;
use crate::support::sessions::create_expired;
use crate::support::visitor::Browser;
use crate::support::{Database, Kind, Load, Server};

/// Runs a test with three servers on one database.
fn with_three(test: impl FnOnce(&Database, [Server; 3])) {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let servers = [(); 3].map(|()| Server::start_with(&database, &SETTINGS));
    test(&database, servers);
}

fn any(servers: &[Server; 3]) -> &Server {
    let random = RandomState::new().build_hasher().finish();
    &servers[usize::try_from(random % 3).unwrap()]
}

#[test]
fn i1_counts_are_exact_when_requests_go_to_any_of_three_servers() {
    with_three(|_, servers| {
        let mut first = servers[0].client();
        assert_eq!(first.visit(), 1);
        let servers = &servers;
        let counts: Vec<u64> = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| {
                let mut browser = first.clone();
                scope.spawn(move || {
                    let mut visit = |_| {
                        browser.set_url(any(servers).url());
                        browser.visit()
                    };
                    (0..50).map(&mut visit).collect::<Vec<u64>>()
                })
            });
            let counts = threads.into_iter().map(|thread| thread.join().unwrap());
            counts.flatten().collect()
        });
        let expected: BTreeSet<u64> = (2..=401).collect();
        assert_eq!(counts.len(), 400);
        assert_eq!(counts.into_iter().collect::<BTreeSet<u64>>(), expected);
    });
}

#[test]
fn i2_a_revocation_is_seen_by_the_next_request_on_every_server() {
    with_three(|_, servers| {
        for number in 0..20 {
            let mut visitor = servers[number % 3].client();
            // All servers have served the session.
            for server in &servers {
                visitor.set_url(server.url());
                visitor.visit();
            }
            let session = visitor.get("/api/session").json()["session"].clone();
            let handle = session["id"].as_str().unwrap();
            let path = format!("/api/session/sessions/{handle}");
            assert_eq!(any(&servers).client().delete(&path).status, 204);
            for server in &servers {
                let mut again = Browser::new(server.url());
                again.cookie.clone_from(&visitor.cookie);
                assert!(again.get("/api/session").json()["session"].is_null());
            }
        }
    });
}

#[test]
fn i10_concurrent_sweeps_delete_each_expired_session_once() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    create_expired(&*database.store(), 20_000);
    let sweeps = [(); 3].map(|()| {
        program(database.folder())
            .env("DATABASE_URL", database.raw_url())
            .arg("sweep")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let deleted = sweeps.map(|sweep| {
        let output = sweep.wait_with_output().unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        let (_, after) = report.split_once("deleted ").unwrap();
        let number = after.split_whitespace().next().unwrap();
        number.parse::<usize>().unwrap()
    });
    eprintln!("three sweeps deleted {deleted:?}");
    assert_eq!(deleted.iter().sum::<usize>(), 20_000);
    assert_eq!(database.sessions(), 0);
}

#[test]
fn a_rolling_restart_loses_no_request_and_no_field() {
    with_three(|database, servers| {
        let load = Load::on(&[&servers[0], &servers[1], &servers[2]]);
        // Data written by a newer release, with a field that this one does not know.
        database.execute(
            r#"UPDATE sessions SET version = version + 1,
            data = (data::jsonb || '{"newer": [1, 2]}')::text"#,
        );
        let mut running: Vec<Server> = servers.into();
        for _ in 0..3 {
            let ends = running.remove(0);
            load.go_to(&running.iter().collect::<Vec<_>>());
            load.wait_for_counts(50);
            assert_eq!(ends.terminate(), Some(0));
            running.push(Server::start_with(database, &SETTINGS));
            load.go_to(&running.iter().collect::<Vec<_>>());
            load.wait_for_counts(50);
        }
        assert_eq!((load.refused(), load.unanswered()), (0, 0));
        load.end();
        let kept = r#"SELECT count(*) AS n FROM sessions WHERE data LIKE '%"newer":[1,2]%'"#;
        assert_eq!(database.number(kept), database.sessions());
    });
}
