//! A URL with several hosts, of which only one is the primary. A host that says nothing costs no
//! request its time, and is found again when it answers.

use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{SessionStore, StoreOptions};

use crate::support::proxy::Proxy;
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, wait_until};

/// Returns a URL of two proxies to the database, and the proxies.
fn behind_two(database: &Database) -> (String, [Proxy; 2]) {
    let (first, url) = Proxy::before(database.direct_url());
    let (second, other) = Proxy::before(database.direct_url());
    let (place, name) = url.rsplit_once('/').unwrap();
    let host = other.split(['@', '/']).nth(3).unwrap();
    let url = format!("{place},{host}/{name}?target_session_attrs=read-write");
    (url, [first, second])
}

#[test]
fn i6_a_host_that_says_nothing_costs_no_request_its_time() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let (url, [silent, serving]) = behind_two(&database);
    silent.freeze_all();
    // With the default timeout, connecting to one silent host takes all the time that a call has.
    let store = DieselStore::open(&url.parse().unwrap(), StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let tried = silent.connections();
    for _ in 0..3 {
        store.create(&[new_session(None)]).unwrap();
        serving.close_existing();
    }
    assert_eq!(silent.connections(), tried);
}

#[test]
fn i6_a_host_that_answers_again_is_found() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let (url, hosts) = behind_two(&database);
    let store = DieselStore::open(&url.parse().unwrap(), StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    for (silent, serving) in [(0, 1), (1, 0), (0, 1)] {
        hosts[serving].thaw();
        hosts[silent].freeze_all();
        hosts[silent].reset_existing();
        wait_until("the other host serves", || {
            store.create(&[new_session(None)]).is_ok()
        });
    }
}
