//! I6: an outage is not a logout. Responses are 503 with Retry-After and without Set-Cookie, and
//! service returns without help.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocket::http::Status;
use rocket_diesel_sessions::SessionConfig;
use rocket_diesel_sessions::store::StoreError;

use crate::support::altered;
use crate::support::embedded::{client, get, new_cookie, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Database, Kind, Server, wait_for, wait_until};

on_each_database! {
    fn i6_an_outage_is_a_503_and_no_logout(database: &Database) {
        let environment = [("ROCKET_SESSIONS", r#"{timeout="300ms"}"#)];
        let server = Server::start_with(database, &environment);
        let mut visitor = server.client();
        visitor.visit();
        let outage = Outage::begin(database);
        let failing: &[&str] = match database.kind() {
            Kind::Sqlite => &["/api/session/test-session"],
            Kind::Postgres => &["/api/session/test-session", "/api/session", "/readyz"],
        };
        for path in failing {
            let reply = visitor.get(path);
            assert_eq!(reply.status, 503, "{path}: {}", reply.body);
            assert_eq!(reply.json()["error"]["code"], "unavailable", "{path}");
            assert_eq!(reply.retry_after.as_deref(), Some("1"), "{path}");
            assert_eq!(reply.set_cookie, None, "{path}");
        }
        // A visitor without a session gets no cookie either.
        let reply = server.client().get("/api/session/test-session");
        assert_eq!((reply.status, reply.set_cookie), (503, None));
        assert_eq!(visitor.get("/healthz").status, 200);
        outage.end(database);
        wait_until("the database answers", || visitor.get("/readyz").status == 200);
        assert_eq!(visitor.visit(), 2);
    }
}

/// An unusable database. PostgreSQL accepts no connections. SQLite's file is locked, so it can be
/// read (WAL) but not written.
enum Outage {
    Refused,
    Locked(Box<dyn crate::support::Sql>),
}

impl Outage {
    fn begin(database: &Database) -> Self {
        match database.kind() {
            Kind::Sqlite => {
                let mut connection = database.connection();
                connection.run("BEGIN IMMEDIATE");
                Self::Locked(connection)
            }
            Kind::Postgres => {
                let name = database.name();
                database.execute_on_server(&format!(
                    "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; \
                     SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                ));
                Self::Refused
            }
        }
    }

    fn end(self, database: &Database) {
        match self {
            Self::Locked(mut connection) => connection.run("ROLLBACK"),
            Self::Refused => {
                let name = database.name();
                database.execute_on_server(&format!(
                    "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"
                ));
            }
        }
    }
}

#[test]
fn i6_a_live_session_is_served_although_another_cannot_be_loaded() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let fails_next = Arc::new(AtomicBool::new(false));
    let store = HookedStore::new(database.store(), {
        let fails_next = Arc::clone(&fails_next);
        move |call| {
            let fails = matches!(call, Call::Load(_)) && fails_next.swap(false, Ordering::SeqCst);
            assert!(!fails, "a load that fails");
            Ok(())
        }
    });
    // One load at a time, in the order of the cookies.
    let config = altered(SessionConfig::default(), |config| {
        config.workers = 1;
        config.max_batch = 1;
    });
    run(async {
        let client = &client(store, config).await;
        let ended = new_cookie(client).await;
        get(client, "/destroy", Some(&ended)).await;
        let live = new_cookie(client).await;
        for (cookies, expected) in [
            (format!("{ended}; {live}"), Status::Ok),
            (format!("{live}; {ended}"), Status::ServiceUnavailable),
        ] {
            fails_next.store(true, Ordering::SeqCst);
            let answer = get(client, "/read", Some(&cookies)).await;
            assert_eq!(answer.status, expected);
            assert_eq!(answer.header("set-cookie"), None);
        }
    });
}

/// Four probes hang on connections that never answer. Then the database accepts new connections.
#[test]
fn i6_an_outage_ends_by_itself_after_hanging_probes() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let is_out = Arc::new(AtomicBool::new(false));
    let (out, probes) = (Arc::clone(&is_out), Arc::new(AtomicUsize::new(0)));
    let sent = Arc::clone(&probes);
    let (keep, end) = channel::<()>();
    let end = Mutex::new(end);
    let store = HookedStore::new(database.store(), move |call| {
        match call {
            Call::Load(_) if out.load(Ordering::SeqCst) => {
                return Err(StoreError::connect("", "cut"));
            }
            Call::Probe if sent.fetch_add(1, Ordering::SeqCst) < 4 => {
                let _ = end.lock().unwrap().recv();
            }
            _ => {}
        }
        Ok(())
    });
    run(async {
        let config = altered(SessionConfig::default(), |config| {
            config.timeout = Duration::from_millis(300);
        });
        let client = &client(store, config).await;
        let cookie = &new_cookie(client).await;
        is_out.store(true, Ordering::SeqCst);
        assert_eq!(get(client, "/read", Some(cookie)).await.status.code, 503);
        wait_for("four probes hang", async || {
            probes.load(Ordering::SeqCst) >= 4
        })
        .await;
        is_out.store(false, Ordering::SeqCst);
        wait_for("service is back", async || {
            get(client, "/read", Some(cookie)).await.status.code == 200
        })
        .await;
        drop(keep);
    });
}
