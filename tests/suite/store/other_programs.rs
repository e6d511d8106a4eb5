//! Changes that other programs make to the tables with their own SQL.

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{
    ListSessions, LoginOutcome, LoginSession, SessionStore, UserStore,
};

use crate::support::sessions::new_session;
use crate::support::{Database, Kind};

/// Creates a session for Ada and one for Bob and runs `sql` as the sqlite3 shell does, without
/// foreign keys. Returns the users whose sessions are left.
fn left_after(sql: &str) -> Vec<String> {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    database.add_users(&["ada", "bob"]);
    store
        .create(&[new_session(Some("ada")), new_session(Some("bob"))])
        .unwrap();
    let mut shell = SqliteConnection::establish(database.raw_url()).unwrap();
    shell.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    // A failing statement must end no session either.
    let _ = shell.batch_execute(sql);
    let mut left: Vec<String> = listed(&store).into_iter().flatten().collect();
    left.sort();
    left
}

fn listed(store: &DieselStore) -> Vec<Option<String>> {
    let query = ListSessions::new(Utc::now(), 100);
    let listed = store.list(&query).unwrap();
    let users = listed.into_iter().map(|record| record.user_id);
    users.map(|user| user.map(Into::into)).collect()
}

#[test]
fn sessions_end_with_a_user_deleted_without_foreign_key_checks() {
    const ROW: &str = "INTO users (id, username, password_hash, disabled_at, created_at, \
                       updated_at) VALUES ('ada', 'ada', '', ";
    const TIMES: &str = "'2026-01-01 00:00:00', '2026-01-01 00:00:00')";
    for sql in [
        "DELETE FROM users WHERE id = 'ada'",
        "UPDATE users SET id = 'eve' WHERE id = 'ada'",
        "UPDATE users SET disabled_at = date('now') WHERE id = 'ada'",
        &format!("INSERT OR REPLACE {ROW} 'now', {TIMES}"),
    ] {
        assert_eq!(left_after(sql), ["bob"], "{sql}");
    }
    for sql in [
        "UPDATE users SET id = id, username = 'Ada'",
        &format!("INSERT OR IGNORE {ROW} 'now', {TIMES}"),
        &format!("INSERT {ROW} 'now', {TIMES}"),
        &format!("INSERT OR REPLACE {ROW} NULL, {TIMES}"),
    ] {
        assert_eq!(left_after(sql), ["ada", "bob"], "{sql}");
    }
}

#[test]
fn disabling_a_user_works_whatever_the_search_path() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    database.execute("CREATE SCHEMA app");
    let url = format!("{}?options=-csearch_path%3Dapp", database.direct_url());
    let options = rocket_diesel_sessions::store::StoreOptions::default();
    let store = DieselStore::open(&url.parse().unwrap(), options).unwrap();
    store.migrate().unwrap();
    database.execute(
        "INSERT INTO app.users (id, username, password_hash, created_at, updated_at) \
         SELECT n, n, n, now(), now() FROM unnest('{ada,bob,eve}'::text[]) AS n; \
         CREATE TABLE public.sessions (user_id text); INSERT INTO public.sessions VALUES ('ada')",
    );
    let of = ["ada", "bob", "eve"].map(|user| new_session(Some(user)));
    store.create(&of).unwrap();
    database.execute("UPDATE app.users SET disabled_at = now() WHERE id = 'ada'");
    assert_eq!(database.sessions(), 1, "another program's table");
    let left = "SELECT count(*) AS n FROM app.sessions";
    assert_eq!(database.number(left), 2);
    database.execute(
        "SET search_path = pg_catalog; UPDATE app.users SET disabled_at = now() WHERE id = 'bob'",
    );
    assert_eq!(database.number(left), 1);
    database
        .execute("ALTER SCHEMA app RENAME TO moved; UPDATE moved.users SET disabled_at = now()");
    assert_eq!(
        database.number("SELECT count(*) AS n FROM moved.sessions"),
        0
    );
}

#[test]
fn a_user_whose_disabled_at_is_not_a_time_is_disabled_and_hides_no_other() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    database.add_users(&["ada", "bob"]);
    let now = Utc::now();
    for value in [
        "date('now')",
        "unixepoch('now')",
        "'yes'",
        "''",
        "1",
        "x'ff'",
        "1e300",
    ] {
        database.execute(&format!(
            "UPDATE users SET disabled_at = {value} WHERE id = 'ada'"
        ));
        let users = store.list_users(None, 10).unwrap();
        let are_disabled: Vec<bool> = users
            .iter()
            .map(|user| user.disabled_at.is_some())
            .collect();
        assert_eq!(are_disabled, [true, false], "{value}");
        let found = store.user_by_name("ada").unwrap().unwrap();
        assert!(found.disabled_at.is_some(), "{value}");
        let login = LoginSession::new("ada", new_session(None));
        assert_eq!(
            store.login(&login).unwrap(),
            LoginOutcome::UserRefused,
            "{value}"
        );
        assert!(store.enable_user(&"ada".into(), now).unwrap());
        assert_eq!(
            store.user(&"ada".into()).unwrap().unwrap().disabled_at,
            None,
            "{value}"
        );
    }
}

#[test]
fn i11_an_unreadable_session_hides_no_other() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    let (bad, good) = (new_session(None), new_session(None));
    store.create(&[bad.clone(), good.clone()]).unwrap();
    for (column, value) in [
        ("last_seen_at", "'yesterday'"),
        ("created_at", "''"),
        ("expires_at", "'9999'"),
        ("absolute_expires_at", "'x'"),
    ] {
        database.execute(&format!(
            "UPDATE sessions SET {column} = {value} WHERE id = '{}'",
            bad.id
        ));
        assert_eq!(listed(&store).len(), 1, "{column}");
        assert_eq!(store.load(&[good.session_id]).unwrap().len(), 1);
        assert!(store.load(&[bad.session_id]).is_err(), "{column}");
    }
}
