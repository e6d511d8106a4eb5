//! Users in numbers: searches, sign-ins and live sessions, however many users there are.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, FindUsers, SessionStore, UserCursor, UserPage, UserPresence, UserStore,
};
use rocket_diesel_sessions::testing::conformance;

use crate::support::memory::MemoryStore;
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, altered, wait_until};

fn find(store: &dyn UserStore, text: &str, after: Option<UserCursor>) -> UserPage {
    let query = altered(FindUsers::new(50), |query| {
        (query.text, query.after) = (text.to_owned(), after);
    });
    store.find_users(&query).unwrap()
}

fn names(page: &UserPage) -> Vec<&str> {
    page.users
        .iter()
        .map(|user| user.username.as_str())
        .collect()
}

/// Adds many users, `u000001` and so on, without their sessions.
fn add_many(database: &Database, number: u32) {
    let numbers = match database.kind() {
        Kind::Sqlite => format!(
            "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {number}) \
             SELECT printf('u%06d', n) AS name FROM g"
        ),
        Kind::Postgres => {
            format!(
                "SELECT 'u' || lpad(n::text, 6, '0') AS name FROM generate_series(1, {number}) AS n"
            )
        }
    };
    database.execute(&format!(
        "INSERT INTO users (id, username, password_hash, created_at, updated_at) \
         SELECT name, name, '', '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM ({numbers}) AS names"
    ));
}

on_each_database! {
    fn users_are_found_by_a_part_of_the_name(database: &Database) {
        conformance::run_user_search(&*database.store()).unwrap();
    }

    fn a_page_of_a_search_looks_at_a_limited_number_of_users_and_the_next_goes_on(database: &Database) {
        let store = database.store();
        add_many(database, 12_000);
        let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = find(&*store, "11999", after);
            found.extend(names(&page).into_iter().map(str::to_owned));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found, pages), (vec!["u011999".to_owned()], 3));
        // One that begins with the text is on the first page, wherever it is.
        assert_eq!(names(&find(&*store, "u011999", None)), ["u011999"]);
    }

    fn the_last_sign_in_is_recorded_or_shown_by_a_session(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob", "eve"]);
        let now = Utc::now().trunc_subsecs(3);
        let event = |user: &str, name: &str, at: DateTime<Utc>, reason: Option<&str>| {
            altered(EventRecord::new(at, name, "s"), |event| {
                event.user_id = Some(user.into());
                event.reason = reason.map(str::to_owned);
            })
        };
        let at = |minutes| now - TimeDelta::minutes(minutes);
        store
            .add_events(&[
                event("ada", "login", at(50), None),
                event("ada", "login", at(40), None),
                event("ada", "login", at(30), Some("reauthentication")),
                event("ada", "logout", at(20), None),
                event("bob", "login", at(20), None),
                event("eve", "logout", at(20), None),
            ])
            .unwrap();
        let session = altered(new_session(Some("bob")), |session| session.now = at(10));
        store.create(&[session.clone(), altered(new_session(Some("bob")), |new| new.now = at(60))]).unwrap();
        let asked = ["ada", "bob", "eve", "nobody", "\0"].map(Into::into);
        let presence = |events| {
            let admin = StoreAdmin::new(&*store);
            let mut presence = admin.presence(&asked, now, events).unwrap();
            presence.sort_by_key(|user| user.user_id.clone());
            presence
        };
        let of = |user: &str, sessions, last| UserPresence {
            user_id: user.into(),
            sessions,
            last_sign_in: Some(last),
        };
        let events: &dyn EventStore = &*store;
        assert_eq!(presence(Some(events)), [of("ada", 0, at(40)), of("bob", 2, at(10))]);
        assert_eq!(presence(None), [of("bob", 2, at(10))]);
    }
}

#[test]
fn a_store_without_a_search_of_its_own_finds_users_all_the_same() {
    let store = MemoryStore::default();
    conformance::run_user_search(&store).unwrap();
}

/// Returns the number of rows of these tables that the server has read by sequence.
fn read_by_sequence(database: &Database) -> i64 {
    database.number(
        "SELECT coalesce(sum(seq_tup_read), 0)::int8 AS n FROM pg_stat_user_tables \
         WHERE relname IN ('users', 'sessions', 'session_events')",
    )
}

fn use_indexes(store: &DieselStore) {
    let search = |text: &str, admins, disabled| {
        let query = altered(FindUsers::new(50), |query| {
            text.clone_into(&mut query.text);
            (query.admins, query.disabled) = (admins, disabled);
        });
        store.find_users(&query).unwrap().users.len()
    };
    assert_eq!(search("", false, false), 50);
    assert_eq!(search("u01", false, false), 50);
    assert_eq!(search("", true, false), 1);
    assert_eq!(search("", false, true), 1);
    assert_eq!(search("19", true, false), 1);
    let shown: Vec<_> = (1..=50).map(|n| format!("u{n:06}").into()).collect();
    let presence = StoreAdmin::new(store).presence(&shown, Utc::now(), Some(store));
    assert_eq!(presence.unwrap().len(), 50);
}

#[test]
fn no_list_of_users_reads_a_whole_table() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    add_many(&database, 20_000);
    database.execute(
        "UPDATE users SET is_admin = TRUE WHERE username = 'u019999'; \
         UPDATE users SET disabled_at = now() WHERE username = 'u019998'; \
         INSERT INTO sessions (id, session_id, token_hash, user_id, data, expires_at, absolute_expires_at, \
         last_seen_at, created_at, updated_at) SELECT 's' || n, 's' || n, sha256('x'), \
         'u' || lpad((n % 20000 + 1)::text, 6, '0'), '{}', now() + interval '1 day', now() + interval '1 day', \
         now(), now(), now() FROM generate_series(1, 40000) AS n \
         WHERE n % 20000 + 1 <> 19998; \
         INSERT INTO session_events (id, at, event, session, kind, user_id) \
         SELECT '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), now(), 'login', 's', '', \
         'u' || lpad((n % 20000 + 1)::text, 6, '0') FROM generate_series(1, 40000) AS n; \
         ANALYZE users; ANALYZE sessions; ANALYZE session_events",
    );
    let before = read_by_sequence(&database);
    // More often than PostgreSQL makes custom plans.
    for _ in 0..7 {
        use_indexes(&store);
    }
    drop(store);
    wait_until("the server has reported", || {
        database.number(
            "SELECT idx_scan AS n FROM pg_stat_user_indexes WHERE indexrelname = 'users_is_admin'",
        ) >= 14
    });
    assert_eq!(read_by_sequence(&database), before);
}
