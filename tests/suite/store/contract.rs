//! The contract of a store on each database, and the parts that the database enforces.

use chrono::{SubsecRound, TimeDelta, Utc};
use rocket_diesel_sessions::store::{
    LastAdmin, NewSession, SaveOutcome, SaveSession, SessionStore, StoreError, StoreOptions,
    TouchSession, UserOutcome, UserStore,
};
use rocket_diesel_sessions::testing::conformance;
use rocket_diesel_sessions::{DieselStore, UserId};
use uuid::Uuid;

use crate::support::altered;
use crate::support::sessions::new_session;
use crate::support::{Database, Kind};

on_each_database! {
    fn the_store_conforms(database: &Database) {
        let store = database.store();
        conformance::run(&*store).unwrap();
        database.add_users(&["ada", "bob"]);
        conformance::run_with_users(&*store, ["ada", "bob"]).unwrap();
    }

    fn a_users_sessions_end_with_the_user(database: &Database) {
        let store = database.store();
        let stranger = new_session(Some("nobody"));
        assert!(matches!(store.create(&[stranger]), Err(StoreError::Constraint(_))));
        database.add_users(&["ada"]);
        let (hers, anonymous) = (new_session(Some("ada")), new_session(None));
        store.create(&[hers.clone(), anonymous.clone()]).unwrap();
        database.execute("DELETE FROM users");
        let left = store.load(&[hers.session_id, anonymous.session_id]).unwrap();
        assert_eq!(left, [anonymous.into_record()]);
    }

    fn users_are_listed_by_name_page_by_page(database: &Database) {
        let store = database.store();
        database.add_users(&["bob", "zoë", "ada", "Zed"]);
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = store.list_users(after.as_deref(), 3).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.username.clone());
            names.extend(page.into_iter().map(|user| user.username));
        }
        // Bytewise, whatever the database's locale.
        assert_eq!(names, ["Zed", "ada", "bob", "zoë"]);
        let asked = ["bob", "nobody", "ada"].map(UserId::from);
        let mut found: Vec<_> = store.users(&asked).unwrap().into_iter().map(|u| u.id).collect();
        found.sort();
        assert_eq!(found, ["ada", "bob"]);
        assert_eq!(store.users(&[]).unwrap(), []);
    }

    fn a_user_is_promoted_and_disabled_and_back(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let now = Utc::now().trunc_subsecs(6);
        let user = |id: &str| store.user(&id.into()).unwrap().unwrap();
        for _ in 0..2 {
            assert!(store.promote_user(&"ada".into(), now).unwrap());
            assert_eq!((user("ada").is_admin, user("ada").updated_at), (true, now));
        }
        let done = UserOutcome::Done(Vec::new());
        assert_eq!(store.demote_user(&"ada".into(), now, LastAdmin::MayGo).unwrap(), done);
        assert_eq!((user("ada").is_admin, user("ada").updated_at), (false, now));
        store.disable_user(&"ada".into(), now, LastAdmin::Keep).unwrap();
        assert_eq!(user("ada").disabled_at, Some(now));
        for _ in 0..2 {
            assert!(store.enable_user(&"ada".into(), now).unwrap());
            assert_eq!(user("ada").disabled_at, None);
        }
        assert!(!store.promote_user(&"nobody".into(), now).unwrap());
        for last_admin in [LastAdmin::Keep, LastAdmin::MayGo] {
            let demoted = store.demote_user(&"nobody".into(), now, last_admin).unwrap();
            assert_eq!(demoted, UserOutcome::NoUser);
        }
        assert!(!store.enable_user(&"nobody".into(), now).unwrap());
        assert!(!user("bob").is_admin && user("bob").updated_at < now);
    }

    fn expired_sessions_are_counted(database: &Database) {
        let store = database.store();
        let (mut expired, now) = (new_session(None), Utc::now());
        expired.expires_at = now - TimeDelta::days(2);
        store.create(&[expired, new_session(None)]).unwrap();
        assert_eq!(store.count_expired(now).unwrap(), 1);
        assert_eq!(store.count_expired(now + TimeDelta::days(2)).unwrap(), 2);
    }

    fn a_large_batch_is_written_whole(database: &Database) {
        let store = database.store();
        let made: Vec<NewSession> = (0..2000).map(|_| new_session(None)).collect();
        store.create(&made).unwrap();
        let ids: Vec<Uuid> = made.iter().map(|new| new.session_id).collect();
        assert_eq!(store.load(&ids).unwrap().len(), 2000);
        let write =
            |new: &NewSession| SaveSession::new(new.session_id, 0, new.id.clone(), new.now);
        let writes: Vec<SaveSession> = made.iter().map(write).collect();
        let outcomes = store.save(&writes).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == SaveOutcome::Saved));
        let touch = |new: &NewSession| altered(TouchSession::new(new.session_id, new.now), |touch| {
            touch.expires_at = new.expires_at + TimeDelta::hours(1);
            touch.user_agent = Some(new.id.to_string());
        });
        let touches: Vec<TouchSession> = made.iter().map(touch).collect();
        assert_eq!(store.touch(&touches).unwrap(), 2000);
        for record in store.load(&ids).unwrap() {
            assert_eq!(record.data, record.id);
            assert_eq!(record.user_agent.as_deref(), Some(record.id.as_str()));
        }
        let handles: Vec<_> = made.iter().map(|new| new.id.clone()).collect();
        assert_eq!(store.delete(&handles).unwrap().len(), 2000);
    }

    fn an_unreadable_row_is_an_error_that_names_it(database: &Database) {
        let store = database.store();
        let new = new_session(None);
        store.create(std::slice::from_ref(&new)).unwrap();
        database.execute("UPDATE sessions SET session_id = 'not a uuid'");
        let error = store.find(&new.id).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { id, .. } if *id == new.id), "{error}");
    }
}

/// The settings for PgBouncer in transaction mode.
#[test]
fn the_postgres_store_conforms_without_prepared_statements() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    database.store();
    let options = altered(StoreOptions::default(), |options| {
        options.prepared_statements = false;
    });
    let store = DieselStore::open(&database.url(), options).unwrap();
    conformance::run(&store).unwrap();
    database.add_users(&["ada", "bob"]);
    conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
}

/// Heap-only updates need no index entries, which the fill factor is for.
#[test]
fn a_data_write_on_postgresql_touches_no_index() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    let new = new_session(None);
    store.create(std::slice::from_ref(&new)).unwrap();
    for version in 0..20 {
        let write = SaveSession::new(new.session_id, version, version.to_string(), new.now);
        assert_eq!(store.save(&[write]).unwrap(), [SaveOutcome::Saved]);
    }
    let count = |column: &str| {
        // The counters are updated when the writing connection becomes idle.
        database.number(&format!(
            "SELECT {column} AS n FROM pg_stat_user_tables WHERE relname = 'sessions'"
        ))
    };
    drop(store);
    crate::support::wait_until("the updates are counted", || count("n_tup_upd") == 20);
    assert_eq!(count("n_tup_hot_upd"), 20);
}
