//! The record of events, as a server keeps it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use rocket::http::Header;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::store::{EventRecord, EventStore, ListEvents, StoreError};
use rocket_diesel_sessions::{
    DieselStore, EventContext, SessionAdmin, SessionConfig, SessionError, SessionEvent, UserId,
    UserSessions,
};

use crate::support::altered;
use crate::support::embedded::{get, new_cookie, patient, rocket_with, run};
use crate::support::{Database, metric, wait_until};

/// Returns what has happened to a user, newest first, as "event reason".
async fn activity(client: &Client, user: &str) -> Vec<String> {
    let users = client.rocket().state::<UserSessions>().unwrap();
    let events = users.recent_activity(user, 100).await.unwrap();
    let words = |event: EventRecord| {
        let reason = event.reason.map(|reason| format!(" {reason}"));
        event.event + &reason.unwrap_or_default()
    };
    events.into_iter().map(words).collect()
}

on_each_database! {
    fn what_happens_to_a_users_sessions_is_recorded(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let config = altered(patient(), |config| config.max_sessions_per_user = 2);
        run(async {
            let events = store.clone();
            let (rocket, _) = rocket_with(store, config, |sessions| sessions.events(events));
            let client = &Client::untracked(rocket).await.unwrap();
            let users = client.rocket().state::<UserSessions>().unwrap();
            let admin = client.rocket().state::<SessionAdmin>().unwrap();

            // An anonymous visitor leaves no trace.
            let cookie = new_cookie(client).await;
            get(client, "/rotate", Some(&cookie)).await;
            assert_eq!(admin.events(10, None, None).await.unwrap().events, []);

            let cookie = get(client, "/login/ada", None).await.cookie().unwrap();
            let again = get(client, "/login/ada", Some(&cookie)).await.cookie().unwrap();
            get(client, "/logout", Some(&again)).await;
            assert_eq!(activity(client, "ada").await, ["logout", "login reauthentication", "login"]);

            for _ in 0..3 {
                get(client, "/login/bob", None).await;
            }
            users.revoke_all("bob").await.unwrap();
            let expected = ["revoked", "revoked", "replaced limit", "login", "login", "login"];
            assert_eq!(activity(client, "bob").await, expected);
            assert_eq!(activity(client, "nobody").await, [""; 0]);

            let page = admin.events(4, None, None).await.unwrap();
            assert_eq!(page.events.len(), 4);
            let rest = admin.events(100, page.next, None).await.unwrap();
            assert_eq!((rest.events.len(), rest.next), (5, None));
            let of_ada = admin.events(3, None, Some("ada".into())).await.unwrap();
            assert_eq!((of_ada.events.len(), of_ada.next), (3, None));
            assert_eq!(metric(admin, "sessions_events_recorded_total"), 9);

            assert_eq!(users.forget_activity("bob").await.unwrap(), 6);
            assert_eq!(activity(client, "bob").await, [""; 0]);
        });
    }

    fn an_event_names_its_request_and_who_caused_it(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let seen: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        run(async {
            let (events, told) = (store.clone(), Arc::clone(&seen));
            let (rocket, clock) = rocket_with(store, patient(), |sessions| {
                sessions
                    .events(events)
                    .request_id(|request| request.headers().get_one("X-Id").map(str::to_owned))
                    .on_event(move |event| told.lock().unwrap().push(event.clone()))
            });
            let client = &Client::untracked(rocket).await.unwrap();
            let mut request = client.get("/login/ada");
            for (name, value) in [("User-Agent", "Firefox"), ("X-Id", "r-7")] {
                request.add_header(Header::new(name, value));
            }
            let answer = request.remote("203.0.113.7:1234".parse().unwrap()).dispatch().await;
            let handle = answer.into_string().await.unwrap();
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let context = EventContext::default().actor("support").reason("stolen");
            assert!(admin.with_context(context).revoke(&handle).await.unwrap());

            let events = std::mem::take(&mut *seen.lock().unwrap());
            let kinds: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
            assert_eq!(kinds, ["created", "login", "revoked"]);
            for login in &events[..2] {
                assert_eq!(login.id, handle.as_str());
                assert_eq!(login.user, Some("ada".into()));
                assert_eq!(login.ip.as_deref(), Some("203.0.113.7"));
                assert_eq!(login.user_agent.as_deref(), Some("Firefox"));
                assert_eq!(login.request_id.as_deref(), Some("r-7"));
                assert_eq!((&login.actor, &login.reason), (&None, &None));
                let now = rocket_diesel_sessions::Clock::now(&*clock);
                assert_eq!(login.at.timestamp_millis(), now.timestamp_millis());
            }
            let revoked = &events[2];
            assert_eq!(revoked.user, Some("ada".into()));
            assert_eq!(revoked.actor.as_deref(), Some("support"));
            assert_eq!(revoked.reason.as_deref(), Some("stolen"));
            assert_eq!((&revoked.ip, &revoked.request_id), (&None, &None));

            let recorded = admin.events(10, None, None).await.unwrap().events;
            assert_eq!(recorded, [events[2].to_record(), events[1].to_record()]);
            let json = rocket::serde::json::to_value(&events[1]).unwrap();
            assert_eq!(json["event"], "login");
            assert_eq!(json["user_id"], "ada");
        });
    }

    fn events_are_forgotten_after_their_time_and_recorded_at_shutdown(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let number = || database.number("SELECT count(*) AS n FROM session_events");
        run(async {
            let (events, config) = (store.clone(), patient());
            let (rocket, clock) = rocket_with(store, config, |sessions| sessions.events(events));
            let client = Client::untracked(rocket).await.unwrap();
            get(&client, "/login/ada", None).await;
            assert_eq!(activity(&client, "ada").await, ["login"]);
            clock.advance(TimeDelta::days(91));
            wait_until("the old event is deleted", || number() == 0);
            get(&client, "/login/ada", None).await;
            client.terminate().await;
        });
        assert_eq!(number(), 1);
    }

    fn no_events_are_recorded_if_their_time_is_zero(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let events = store.clone();
            let config = altered(SessionConfig::default(), |config| {
                config.events_retention = std::time::Duration::ZERO;
            });
            let (rocket, _) = rocket_with(store, config, |sessions| sessions.events(events));
            let client = Client::untracked(rocket).await.unwrap();
            get(&client, "/login/ada", None).await;
            let users = client.rocket().state::<UserSessions>().unwrap();
            assert_eq!(users.recent_activity("ada", 1).await, Err(SessionError::NoEvents));
            client.terminate().await;
        });
        assert_eq!(database.number("SELECT count(*) AS n FROM session_events"), 0);
    }

    fn i11_a_record_that_fails_costs_no_request_and_is_made_up_for(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let events = Arc::new(Failing {
            inner: store.clone(),
            is_down: AtomicBool::new(true),
            refused: AtomicUsize::new(0),
        });
        run(async {
            let record = Arc::clone(&events);
            let (rocket, _) = rocket_with(store, patient(), |sessions| sessions.events(record));
            let client = Client::untracked(rocket).await.unwrap();
            let answer = get(&client, "/login/ada", None).await;
            assert!(answer.cookie().is_some());
            wait_until("the record has failed", || events.refused.load(Ordering::SeqCst) > 1);
            events.is_down.store(false, Ordering::SeqCst);
            assert_eq!(activity(&client, "ada").await, ["login"]);
        });
    }
}

/// A record that can be down.
struct Failing {
    inner: Arc<DieselStore>,
    is_down: AtomicBool,
    refused: AtomicUsize,
}

impl EventStore for Failing {
    fn add_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::broken("gone"));
        }
        self.inner.add_events(events)
    }

    fn events(&self, query: &ListEvents) -> Result<Vec<EventRecord>, StoreError> {
        self.inner.events(query)
    }

    fn forget_events(&self, before: DateTime<Utc>, limit: u32) -> Result<usize, StoreError> {
        self.inner.forget_events(before, limit)
    }

    fn forget_events_of(&self, user_id: &UserId) -> Result<usize, StoreError> {
        self.inner.forget_events_of(user_id)
    }
}
