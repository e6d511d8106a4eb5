//! I5: acknowledged writes survive the end of the process that acknowledged them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::visitor::Browser;
use crate::support::{Database, Server, wait_until};

on_each_database! {
    fn i5_acknowledged_counts_survive_kill_9(database: &Database) {
        let server = Server::start(database);
        let mut first = server.client();
        first.visit();
        let acknowledged = AtomicU64::new(1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (url, cookie) = (server.url().to_owned(), first.cookie.clone().unwrap());
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    let mut browser = Browser::new(&url);
                    browser.cookie = Some(cookie);
                    while let Some(reply) = browser.try_get("/api/session/test-session") {
                        let count = reply.json()["visitCount"].as_u64().unwrap();
                        acknowledged.fetch_max(count, Ordering::SeqCst);
                    }
                });
            }
            wait_until("some are counted", || acknowledged.load(Ordering::SeqCst) > 50);
            server.kill();
        });
        let server = Server::start(database);
        let mut again = server.client();
        again.cookie = first.cookie;
        let next = again.visit();
        assert!(next > acknowledged.load(Ordering::SeqCst), "{next} < {acknowledged:?}");
    }
}
