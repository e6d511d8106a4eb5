//! What the tests stand on: real databases, real servers, and visitors with a cookie jar.

pub(crate) mod accounts;
mod around;
pub(crate) mod certificates;
pub(crate) mod chromium;
mod cluster;
pub(crate) mod command_line;
pub(crate) mod database;
pub(crate) mod embedded;
pub(crate) mod fake_postgres;
pub(crate) mod faulty;
pub(crate) mod hooked;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod memory;
pub(crate) mod nginx;
pub(crate) mod outages;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod sessions;
pub(crate) mod start;
mod tab;
pub(crate) mod terminal;

pub(crate) use chromium::Chromium;
pub(crate) use cluster::Cluster;
pub(crate) use database::{Database, Kind};
pub(crate) use load::Load;
pub(crate) use local::Visitor;
pub(crate) use server::Server;
pub(crate) use tab::Tab;

/// Defines a test for each database: `fn name(database: &Database) { … }` becomes the tests
/// `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($(#[$attribute:meta])* fn $name:ident($database:ident: &Database) $body:block)+) => {
        $($(#[$attribute])* mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn check($database: &Database) $body

            #[test]
            fn sqlite() {
                use crate::support::{Database, Kind};
                check(&Database::new(Kind::Sqlite).expect("SQLite needs no server"));
            }

            #[test]
            fn postgres() {
                use crate::support::{Database, Kind};
                if let Some(database) = Database::new(Kind::Postgres) {
                    check(&database);
                }
            }
        })+
    };
}

/// The value of a metric, by name and labels.
pub(crate) fn metric(admin: &rocket_diesel_sessions::SessionAdmin, name: &str) -> u64 {
    metric_of(&admin.metrics(), name)
}

/// The same in a text of metrics.
pub(crate) fn metric_of(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines()
        .find_map(value)
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Waits until `condition` holds; panics, naming `what`, after 20 seconds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The same for a condition that awaits.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "waited in vain: {what}"
        );
        rocket::tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
