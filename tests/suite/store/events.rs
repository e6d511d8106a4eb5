//! The record of events in the database.

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, ListEvents, SessionStore, StoreOptions, UserSource,
};

use crate::support::{Database, Kind, altered, wait_until};

fn event(at: DateTime<Utc>, name: &str, user: Option<&str>) -> EventRecord {
    altered(EventRecord::new(at, name, "a session"), |event| {
        event.user_id = user.map(Into::into);
    })
}

fn names(store: &DieselStore, user: Option<&str>) -> Vec<String> {
    let query = altered(ListEvents::default(), |query| {
        query.user_id = user.map(Into::into);
        query.limit = 100;
    });
    let events = store.events(&query).unwrap();
    events.into_iter().map(|event| event.event).collect()
}

on_each_database! {
    fn events_are_stored_once_and_read_as_they_were(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let now = Utc::now();
        let full = altered(event(now, "login", Some("ada")), |event| {
            event.reason = Some("reauthentication".to_owned());
            "staff".clone_into(&mut event.kind);
            event.actor = Some("support".to_owned());
            event.ip = Some("203.0.113.7".to_owned());
            event.user_agent = Some("Firefox ä\u{1f44b}".to_owned());
            event.request_id = Some("r-1".to_owned());
        });
        let later = event(now + TimeDelta::milliseconds(1), "logout", Some("bob"));
        let nobodys = event(now + TimeDelta::milliseconds(2), "expired", None);
        let events = [full.clone(), later, nobodys];
        store.add_events(&events).unwrap();
        store.add_events(&events).unwrap();
        assert_eq!(names(&store, None), ["expired", "logout", "login"]);
        let query = altered(ListEvents::default(), |query| {
            query.user_id = Some("ada".into());
            query.limit = 10;
        });
        assert_eq!(store.events(&query).unwrap(), [full]);
        for (kind, number) in [("staff", 1), ("", 0)] {
            let query = altered(query.clone(), |query| query.kind = Some(kind.to_owned()));
            assert_eq!(store.events(&query).unwrap().len(), number, "{kind:?}");
        }
    }

    fn events_are_found_by_name_and_by_actor(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let now = Utc::now();
        let of_user = |at, name, user, actor: &str| altered(event(at, name, Some(user)), |event| {
            event.session = "".into();
            event.actor = Some(actor.to_owned());
        });
        store.add_events(&[
            event(now, "login", Some("ada")),
            of_user(now + TimeDelta::milliseconds(1), "user_disabled", "bob", "ada"),
            of_user(now + TimeDelta::milliseconds(2), "user_disabled", "ada", "root"),
            of_user(now + TimeDelta::milliseconds(3), "user_enabled", "bob", "ada"),
        ]).unwrap();
        let found = |change: &dyn Fn(&mut ListEvents)| {
            let query = altered(ListEvents::default(), |query| {
                query.limit = 10;
                change(query);
            });
            let events = store.events(&query).unwrap();
            let shown = |event: EventRecord| format!("{} {}", event.event, event.user_id.unwrap());
            events.into_iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found(&|query| query.event = text("user_disabled")), "user_disabled ada, user_disabled bob");
        assert_eq!(found(&|query| query.actor = text("ada")), "user_enabled bob, user_disabled bob");
        assert_eq!(found(&|query| {
            query.actor = text("ada");
            query.event = text("user_disabled");
            query.user_id = Some("bob".into());
        }), "user_disabled bob");
        for odd in ["nobody", "", "a\0"] {
            assert_eq!(found(&|query| query.actor = text(odd)), "", "{odd:?}");
            assert_eq!(found(&|query| query.event = text(odd)), "", "{odd:?}");
        }
    }

    fn pages_follow_each_other_without_gaps(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let now = Utc::now();
        let at = |number: i64| now + TimeDelta::milliseconds(number / 3);
        let events: Vec<_> = (0..10)
            .map(|number| event(at(number), &number.to_string(), Some("ada")))
            .collect();
        store.add_events(&events).unwrap();
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let query = altered(ListEvents::default(), |query| {
                (query.after, query.limit) = (after, 3);
            });
            let page = store.events(&query).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            read.extend(page.into_iter().map(|event| event.event));
        }
        let newest_first: Vec<_> = (0..10).rev().map(|number: i32| number.to_string()).collect();
        assert_eq!(read, newest_first);
    }

    fn i12_texts_that_a_database_cannot_hold_are_cut_and_cost_no_other_event(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let now = Utc::now();
        let odd = altered(event(now, "login", Some("ada")), |event| {
            event.reason = Some("a\0b".to_owned());
            event.request_id = Some("ä".repeat(100_000));
        });
        let impossible = [event(now, "login", Some("")), event(now, "login", Some("a\0"))];
        store.add_events(&[&impossible[..], &[odd, event(now, "logout", Some("ada"))]].concat()).unwrap();
        assert_eq!(names(&store, None), ["logout", "login"]);
        let query = altered(ListEvents::default(), |query| query.limit = 10);
        let stored = store.events(&query).unwrap().pop().unwrap();
        assert_eq!(stored.reason.as_deref(), Some("ab"));
        assert_eq!(stored.request_id, Some("ä".repeat(512)));
    }

    fn old_events_are_forgotten_oldest_first_and_a_few_at_a_time(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let now = Utc::now();
        let events: Vec<_> = (0..5)
            .map(|days| event(now - TimeDelta::days(days), &days.to_string(), Some("ada")))
            .collect();
        store.add_events(&events).unwrap();
        let before = now - TimeDelta::days(2);
        assert_eq!(store.forget_events(before, 1).unwrap(), 1);
        assert_eq!(names(&store, None), ["0", "1", "2", "3"]);
        assert_eq!(store.forget_events(before, 10).unwrap(), 1);
        assert_eq!(names(&store, None), ["0", "1", "2"], "an event at the limit stays");
        assert_eq!(store.forget_events(before, 10).unwrap(), 0);
    }

    fn a_users_events_go_with_the_user_however_the_user_goes(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob", "chidi"]);
        let now = Utc::now();
        let of = |user| event(now, user, Some(user));
        store.add_events(&[of("ada"), of("bob"), of("chidi")]).unwrap();
        database.execute("DELETE FROM users WHERE id = 'ada'");
        assert_eq!(names(&store, Some("ada")), [""; 0]);
        // Events that another instance had yet to write.
        store.add_events(&[of("ada"), event(now, "again", Some("bob"))]).unwrap();
        assert_eq!(names(&store, Some("ada")), [""; 0]);
        assert_eq!(names(&store, Some("bob")), ["again", "bob"]);
        database.execute("UPDATE users SET id = 'dora' WHERE id = 'chidi'");
        assert_eq!(names(&store, Some("dora")), ["chidi"]);
        assert_eq!(names(&store, Some("chidi")), [""; 0]);
        assert_eq!(store.forget_events_of(&"bob".into()).unwrap(), 2);
        assert_eq!(names(&store, None), ["chidi"]);
    }

    fn an_application_with_its_own_users_forgets_their_events_itself(database: &Database) {
        let options = altered(database.options(), |options: &mut StoreOptions| {
            options.users = UserSource::External;
        });
        let store = DieselStore::open(&database.url(), options).unwrap();
        store.migrate().unwrap();
        let now = Utc::now();
        store.add_events(&[event(now, "login", Some("42")), event(now, "login", Some("43"))]).unwrap();
        assert_eq!(store.forget_events_of(&"42".into()).unwrap(), 1);
        assert_eq!(names(&store, Some("42")), [""; 0]);
        assert_eq!(names(&store, Some("43")), ["login"]);
        store.ping().unwrap();
    }
}

/// Returns the number of rows of the table that the server has read by sequence.
fn read_by_sequence(database: &Database) -> i64 {
    database.number(
        "SELECT coalesce(sum(seq_tup_read), 0)::int8 AS n FROM pg_stat_user_tables \
         WHERE relname = 'session_events'",
    )
}

#[test]
fn events_are_found_by_name_and_by_actor_without_reading_the_others() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    database.execute(
        "INSERT INTO session_events (id, at, event, session, kind, user_id, actor) \
         SELECT '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), now(), \
         CASE WHEN n = 7 THEN 'user_deleted' ELSE 'login' END, 's', '', 'u' || n, \
         CASE WHEN n < 9 THEN 'ada' END FROM generate_series(1, 50000) AS n; ANALYZE session_events",
    );
    let before = read_by_sequence(&database);
    let read = "SELECT coalesce(sum(idx_tup_read), 0)::int8 AS n FROM pg_stat_user_indexes \
                WHERE relname = 'session_events'";
    let indexed = database.number(read);
    for _ in 0..10 {
        let query = altered(ListEvents::default(), |query| query.limit = 50);
        let by_name = altered(query.clone(), |query| {
            query.event = Some("user_deleted".to_owned());
        });
        assert_eq!(store.events(&by_name).unwrap().len(), 1);
        let by_actor = altered(query, |query| query.actor = Some("ada".to_owned()));
        assert_eq!(store.events(&by_actor).unwrap().len(), 8);
    }
    drop(store);
    wait_until("the server has reported", || {
        database.number(read) >= indexed + 90
    });
    assert!(database.number(read) <= indexed + 200);
    assert_eq!(read_by_sequence(&database), before);
}

#[test]
fn a_users_events_of_one_name_are_found_without_reading_the_others() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    // Of each user's fifty events, the oldest is a login.
    database.execute(
        "INSERT INTO session_events (id, at, event, session, kind, user_id) \
         SELECT '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), now(), \
         CASE WHEN n <= 1000 THEN 'login' ELSE 'revoked' END, 's', '', 'u' || n % 1000 \
         FROM generate_series(1, 50000) AS n; ANALYZE session_events",
    );
    let before = read_by_sequence(&database);
    let read = "SELECT coalesce(sum(idx_tup_read), 0)::int8 AS n FROM pg_stat_user_indexes \
                WHERE relname = 'session_events'";
    let indexed = database.number(read);
    for _ in 0..10 {
        let query = altered(ListEvents::default(), |query| {
            query.user_id = Some("u7".into());
            query.event = Some("login".to_owned());
            query.limit = 50;
        });
        assert_eq!(store.events(&query).unwrap().len(), 1);
        let logins = store.last_logins(&["u1".into(), "u2".into()]).unwrap();
        assert_eq!(logins.len(), 2);
    }
    drop(store);
    wait_until("the server has reported", || {
        database.number(read) >= indexed + 30
    });
    assert!(database.number(read) <= indexed + 60);
    assert_eq!(read_by_sequence(&database), before);
}

#[test]
fn sqlite_finds_a_users_events_of_one_name_by_their_index() {
    let database = Database::new(Kind::Sqlite).unwrap();
    database.store();
    for text in [
        "SELECT * FROM session_events WHERE user_id = ? AND event = ? ORDER BY id DESC LIMIT ?",
        "SELECT * FROM session_events WHERE user_id = ? AND event = ? AND id < ? ORDER BY id DESC",
        "SELECT at FROM session_events AS e WHERE e.user_id = ? AND e.event = 'login' \
         AND coalesce(e.reason, '') <> 'reauthentication' ORDER BY e.id DESC LIMIT 1",
    ] {
        let plan = database.plan(text);
        assert!(
            plan.contains("USING INDEX session_events_user_event (user_id=? AND event=?"),
            "{plan}"
        );
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn a_users_events_are_found_without_reading_those_of_others() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    database.add_users(&["ada"]);
    database.execute(
        "INSERT INTO users (id, username, password_hash, created_at, updated_at) \
         SELECT 'u' || n, 'u' || n, '', now(), now() FROM generate_series(1, 1000) AS n; \
         INSERT INTO session_events (id, at, event, session, kind, user_id) \
         SELECT '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), now(), 'login', 's', '', 'u' || (n % 1000 + 1) \
         FROM generate_series(1, 50000) AS n; ANALYZE session_events",
    );
    store
        .add_events(&[event(Utc::now(), "login", Some("ada"))])
        .unwrap();
    let before = read_by_sequence(&database);
    for _ in 0..10 {
        assert_eq!(names(&store, Some("ada")), ["login"]);
        assert_eq!(names(&store, Some("u7")).len(), 50);
        assert_eq!(names(&store, None).len(), 100);
    }
    assert_eq!(store.forget_events(DateTime::UNIX_EPOCH, 100).unwrap(), 0);
    drop(store);
    wait_until("the server has reported", || {
        database.number(
            "SELECT sum(idx_scan)::int8 AS n FROM pg_stat_user_indexes \
             WHERE indexrelname LIKE 'session_events_user_%'",
        ) >= 20
    });
    assert_eq!(read_by_sequence(&database), before);
}
