//! Changes of users, and the events that record them.

use std::sync::Barrier;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, LastAdmin, ListEvents, PasswordChange, SessionStore, StoreError,
    UserAction, UserChange, UserOutcome, UserStore,
};
use rocket_diesel_sessions::testing::conformance;

use crate::support::memory::MemoryStore;
use crate::support::sessions::new_session;
use crate::support::{Database, altered};

const ACTIONS: [UserAction; 5] = [
    UserAction::Promote,
    UserAction::Demote,
    UserAction::Disable,
    UserAction::Enable,
    UserAction::Delete,
];

/// Returns a change of a user with its event, whose name is that of the action.
fn recorded(id: &str, action: UserAction, now: DateTime<Utc>) -> UserChange {
    altered(UserChange::new(id, action, now), |change| {
        let event = EventRecord::new(now, format!("{action:?}"), "");
        change.event = Some(altered(event, |event| {
            event.user_id = (action != UserAction::Delete).then(|| id.into());
            event.actor = Some("ruth".to_owned());
        }));
        change.last_admin = LastAdmin::MayGo;
    })
}

/// Returns the names of the events that `ruth` has caused, oldest first.
fn events(store: &DieselStore) -> Vec<String> {
    let query = altered(ListEvents::default(), |query| {
        query.actor = Some("ruth".to_owned());
        query.limit = 100;
    });
    let events = store.events(&query).unwrap().into_iter().rev();
    events.map(|event| event.event).collect()
}

on_each_database! {
    fn each_change_is_made_once(database: &Database) {
        conformance::run_user_changes(&*database.store()).unwrap();
    }

    fn i8_only_a_change_that_makes_a_difference_is_recorded(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        for action in ACTIONS {
            for _ in 0..2 {
                store.change_user(&recorded("ada", action, Utc::now())).unwrap();
            }
            if action == UserAction::Enable {
                assert_eq!(events(&store), ["Promote", "Demote", "Disable", "Enable"]);
            }
        }
        assert_eq!(events(&store), ["Delete"], "the user's own events are deleted too");
        // A change that is refused is no event either.
        database.add_users(&["ada"]);
        let now = Utc::now();
        store.promote_user(&"ada".into(), now).unwrap();
        for action in [UserAction::Demote, UserAction::Disable, UserAction::Delete] {
            let change = altered(recorded("ada", action, now), |change| change.last_admin = LastAdmin::Keep);
            assert_eq!(store.change_user(&change).unwrap(), UserOutcome::LastAdmin);
        }
        assert_eq!(events(&store), ["Delete"]);
    }

    fn i8_a_change_that_cannot_be_recorded_is_not_made(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let now = Utc::now().trunc_subsecs(3);
        let rows = || {
            let user = store.user(&"ada".into()).unwrap().unwrap();
            (user.is_admin, user.disabled_at, user.password_hash, user.updated_at)
        };
        store.create(&[new_session(Some("ada"))]).unwrap();
        let before = rows();
        let refusing = |change: &dyn Fn() -> Result<UserOutcome, StoreError>, what: &str| {
            database.execute("ALTER TABLE session_events RENAME TO elsewhere");
            assert!(change().is_err(), "{what}");
            database.execute("ALTER TABLE elsewhere RENAME TO session_events");
            assert_eq!((rows(), database.sessions()), (before.clone(), 1), "{what}");
        };
        for action in [UserAction::Promote, UserAction::Disable, UserAction::Delete] {
            refusing(&|| store.change_user(&recorded("ada", action, now)), &format!("{action:?}"));
        }
        let change = PasswordChange {
            user_id: "ada".into(),
            old_hash: before.2.clone(),
            new_hash: "new".to_owned(),
            rotation: None,
            now,
            deadline: None,
            event: recorded("ada", UserAction::Promote, now).event,
        };
        refusing(&|| store.change_password(&change), "password");
        assert!(matches!(store.change_password(&change), Ok(UserOutcome::Done(ended)) if ended.len() == 1));
        assert_eq!(events(&store), ["Promote"]);
        assert_eq!(store.change_password(&change).unwrap(), UserOutcome::NoUser);
        assert_eq!(events(&store).len(), 1);
    }

    fn i8_of_equal_changes_at_once_one_is_done_and_recorded(database: &Database) {
        let stores = [database.store(), database.store()];
        let now = Utc::now();
        for round in 0..3 {
            database.add_users(&["ada"]);
            for action in ACTIONS {
                let start = Barrier::new(8);
                let done = std::thread::scope(|scope| {
                    let tasks: Vec<_> = (0..8).map(|number| {
                        let (start, store) = (&start, &stores[number % 2]);
                        scope.spawn(move || {
                            start.wait();
                            let outcome = store.change_user(&recorded("ada", action, now)).unwrap();
                            matches!(outcome, UserOutcome::Done(_))
                        })
                    }).collect();
                    tasks.into_iter().map(|task| task.join().unwrap()).filter(|done| *done).count()
                });
                assert_eq!(done, 1, "{action:?} in round {round}");
                assert_eq!(events(&stores[0]), [format!("{action:?}")], "round {round}");
                database.execute("DELETE FROM session_events");
            }
        }
    }

    fn a_disabled_users_leftover_sessions_end_without_another_event(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let disable = || store.change_user(&recorded("ada", UserAction::Disable, Utc::now())).unwrap();
        assert_eq!(disable(), UserOutcome::Done(Vec::new()));
        // As another program may leave one.
        let left = new_session(None);
        store.create(std::slice::from_ref(&left)).unwrap();
        database.execute("UPDATE sessions SET user_id = 'ada'");
        assert_eq!(disable(), UserOutcome::Unchanged(vec![left.id]));
        assert_eq!(events(&store), ["Disable"]);
    }

    fn the_last_sign_in_is_found_behind_any_number_of_later_events(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob", "eve"]);
        let now = Utc::now().trunc_subsecs(3);
        let at = |minutes| now - TimeDelta::minutes(minutes);
        let event = |user: &str, name: &str, at, reason: Option<&str>| {
            altered(EventRecord::new(at, name, "s"), |event| {
                event.user_id = Some(user.into());
                event.reason = reason.map(str::to_owned);
            })
        };
        let mut all = vec![
            event("ada", "login", at(600), None),
            event("ada", "login", at(500), Some("invited")),
            event("bob", "login", at(400), None),
        ];
        for minutes in (1..=300).rev() {
            all.push(event("ada", "password_changed", at(minutes), None));
            all.push(event("ada", "login", at(minutes), Some("reauthentication")));
            all.push(event("eve", "login", at(minutes), Some("reauthentication")));
        }
        store.add_events(&all).unwrap();
        // The second chunk of a long list has the others.
        let mut asked = vec!["nobody".into(), "\0".into(), "eve".into(), "ada".into()];
        asked.extend((0..1500).map(|number| format!("u{number}").into()));
        asked.push("bob".into());
        let expected = [("ada".into(), at(500)), ("bob".into(), at(400))];
        let sorted = |mut logins: Vec<_>| {
            logins.sort();
            logins
        };
        assert_eq!(sorted(store.last_logins(&asked).unwrap()), expected);
        assert_eq!(store.last_logins(&[]).unwrap(), []);
        // A store without a way of its own, whether or not it knows the filter.
        for knows_filter in [true, false] {
            let simple = Simple { store: store.clone(), knows_filter };
            let asked = ["eve", "bob", "ada"].map(Into::into);
            assert_eq!(sorted(EventStore::last_logins(&simple, &asked).unwrap()), expected, "{knows_filter}");
        }
    }
}

/// A store of events that has only what every store must have.
struct Simple {
    store: std::sync::Arc<DieselStore>,
    knows_filter: bool,
}

impl EventStore for Simple {
    fn add_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        self.store.add_events(events)
    }

    fn events(&self, query: &ListEvents) -> Result<Vec<EventRecord>, StoreError> {
        let query = altered(query.clone(), |query| {
            if !self.knows_filter {
                query.event = None;
            }
        });
        self.store.events(&query)
    }

    fn forget_events(&self, before: DateTime<Utc>, limit: u32) -> Result<usize, StoreError> {
        self.store.forget_events(before, limit)
    }

    fn forget_events_of(&self, id: &rocket_diesel_sessions::UserId) -> Result<usize, StoreError> {
        self.store.forget_events_of(id)
    }
}

#[test]
fn a_store_in_memory_makes_each_change_once() {
    conformance::run_user_changes(&MemoryStore::default()).unwrap();
}
