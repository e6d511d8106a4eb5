//! Connections to PostgreSQL: their settings, and the effect of locks and read-only servers on
//! their requests.

use std::collections::HashSet;

use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{SessionStore, StoreError, StoreOptions};

use crate::support::embedded::{client, get, new_cookie, patient, run};
use crate::support::gathered::{gated, one_writer};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, wait_for};

fn open(url: &str) -> DieselStore {
    DieselStore::open(&url.parse().unwrap(), StoreOptions::default()).unwrap()
}

/// Sends requests for `path` to twenty sessions at once, in a batch, while another transaction has
/// locked the eighth. Asserts that all others are answered 200.
fn all_but_the_held_one_succeed(path: &str) {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let (store, gate) = gated(database.store());
        let client = &client(store, one_writer()).await;
        let cookies = join_all((0..20).map(|_| new_cookie(client))).await;
        get(client, "/add/held", Some(&cookies[7])).await;
        let mut holder = database.connection();
        holder.run("BEGIN; SELECT 1 FROM sessions WHERE data LIKE '%held%' FOR UPDATE");
        let requests = cookies.iter().map(|cookie| get(client, path, Some(cookie)));
        let answers = gate.one_batch(client, 20, join_all(requests)).await;
        for (number, answer) in answers.iter().enumerate() {
            let expected = if number == 7 {
                Status::ServiceUnavailable
            } else {
                Status::Ok
            };
            assert_eq!(answer.status, expected, "{number}: {}", answer.body);
        }
        holder.run("ROLLBACK");
        let answer = get(client, "/count", Some(&cookies[7])).await;
        assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "2"));
    });
}

#[test]
fn updates_of_other_sessions_succeed_beside_a_locked_row() {
    all_but_the_held_one_succeed("/count");
}

#[test]
fn rotations_of_other_sessions_succeed_beside_a_locked_row() {
    all_but_the_held_one_succeed("/rotate");
}

#[test]
fn other_sessions_can_be_ended_beside_a_locked_row() {
    all_but_the_held_one_succeed("/destroy");
}

#[test]
fn a_login_waits_for_a_lock_longer_than_a_batch_does() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let store = database.store();
        database.add_users(&["ada"]);
        let client = &client(store, patient()).await;
        let mut holder = database.connection();
        holder.run("BEGIN; SELECT 1 FROM users FOR UPDATE");
        let (answer, ()) = join(get(client, "/login/ada", None), async {
            // A statement waits for a quarter of the timeout. A batch does not try again.
            let mut waits = HashSet::new();
            wait_for("the login waits again", async || {
                waits.extend(database.lock_wait());
                waits.len() > 1
            })
            .await;
            holder.run("COMMIT");
        })
        .await;
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    });
}

#[test]
fn settings_in_the_url_take_precedence() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let connections = |name: &str| {
        database.number(&format!(
            "SELECT count(*) AS n FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = '{name}'"
        ))
    };
    database.execute("CREATE SCHEMA mine");
    let url = format!(
        "{}?options=-csearch_path%3Dmine&application_name=mine",
        database.raw_url()
    );
    let store = open(&url);
    store.migrate().unwrap();
    store.ping().unwrap();
    assert_eq!(
        database.number("SELECT count(*) AS n FROM mine.sessions"),
        0
    );
    assert_eq!(connections("mine"), 1);
    open(database.raw_url()).ping().unwrap();
    let other = open(database.raw_url());
    other.ping().unwrap();
    assert_eq!(connections("rocket_diesel_sessions"), 1);
}

#[test]
fn a_role_that_may_not_change_server_settings_can_serve() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    // The server appears to have German messages, and the role may not change that.
    database.execute(&format!(
        "CREATE SCHEMA fake; CREATE FUNCTION fake.current_setting(text) RETURNS text \
         LANGUAGE sql AS $$ SELECT 'de_DE.UTF-8' $$; \
         CREATE ROLE {name} LOGIN; GRANT ALL ON SCHEMA public TO {name}; \
         GRANT USAGE ON SCHEMA fake TO {name}; \
         ALTER ROLE {name} IN DATABASE {name} SET search_path = public, fake, pg_catalog"
    ));
    let url = database.raw_url().replace("postgres@", &format!("{name}@"));
    let store = open(&url);
    store.migrate().unwrap();
    store.create(&[new_session(None)]).unwrap();
    assert_eq!(database.sessions(), 1);
}

#[test]
fn writes_find_the_new_primary_after_a_connection_became_read_only() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    let new = new_session(None);
    store.create(std::slice::from_ref(&new)).unwrap();
    let read_only = |is_so: bool| {
        database.execute_on_server(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {is_so}; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{name}' AND {is_so}",
            name = database.name()
        ));
    };
    read_only(true);
    assert_eq!(store.load(&[new.session_id]).unwrap().len(), 1);
    let refused = store.create(&[new_session(None)]).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused}");
    // A pooled connection to the server that is now a standby.
    assert_eq!(store.load(&[new.session_id]).unwrap().len(), 1);
    read_only(false);
    store.create(&[new_session(None)]).unwrap();
    assert_eq!(database.sessions(), 2);
}
