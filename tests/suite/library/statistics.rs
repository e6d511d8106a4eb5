//! Metrics, hooks, and usage over time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use rocket::http::{Header, Status};
use rocket::local::asynchronous;
use rocket::serde::json::Value;
use rocket_diesel_sessions::admin::{SessionStats, StoreAdmin};
use rocket_diesel_sessions::store::{
    Census, EndCounts, HourStats, SessionStore, StatsStore, StoreError, SweepRecord, UsageDelta,
};
use rocket_diesel_sessions::{
    Cause, Clock, DieselStore, EndReason, SessionAdmin, SessionConfig, SessionEvent,
    SessionEventKind, UserSessions,
};
use rocket_diesel_sessions_app::{MetricsAccess, Stores};

use crate::support::accounts::registered;
use crate::support::altered;
use crate::support::embedded::{get, new_cookie, rocket_with, run};
use crate::support::hooked::HookedStore;
use crate::support::local::{ADMIN_TOKEN, application, application_of, figment, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Server, Visitor, metric, metric_of, wait_until};

const STATS: &str = "/api/session/stats";

/// Returns the figures of this hour.
fn this_hour(stats: &Value) -> Value {
    stats["hours"].as_array().unwrap().last().unwrap().clone()
}

on_each_database! {
    fn hooks_receive_all_events_of_sessions(database: &Database) {
        let events: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        let told = Arc::clone(&events);
        let config = altered(SessionConfig::default(), |config| config.max_sessions_per_user = 1);
        run(async {
            let (rocket, clock) = rocket_with(database.store(), config, |sessions| {
                sessions
                    .on_event(move |event| told.lock().unwrap().push(event.clone()))
                    .on_event(|_| panic!("a hook that panics harms nobody"))
            });
            database.add_users(&["ada"]);
            let client = &asynchronous::Client::untracked(rocket).await.unwrap();
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let mut expected = Vec::new();
            let mut expect = |id: &str, kind| {
                let seen = std::mem::take(&mut *events.lock().unwrap());
                let seen: Vec<_> = seen.into_iter().map(|event| (event.id, event.kind)).collect();
                expected.push((id.to_owned(), kind));
                assert!(seen.contains(&(id.to_owned(), kind)), "{id} {kind:?}: {seen:?}");
                seen
            };
            let ended = SessionEventKind::Ended;

            let cookie = new_cookie(client).await;
            let id = get(client, "/id", Some(&cookie)).await.body;
            expect(&id, SessionEventKind::Created);
            let cookie = get(client, "/rotate", Some(&cookie)).await.cookie().unwrap();
            expect(&id, SessionEventKind::Rotated);
            let cookie = get(client, "/login/ada", Some(&cookie)).await.cookie().unwrap();
            assert_eq!(expect(&id, SessionEventKind::Rotated).len(), 1);
            // A second device replaces the first.
            let second = get(client, "/login/ada", None).await;
            let seen = expect(&second.body, SessionEventKind::Created);
            assert!(seen.contains(&(id, ended(EndReason::Replaced))), "{seen:?}");
            assert_eq!(get(client, "/id", Some(&cookie)).await.body, "");
            get(client, "/logout", second.cookie().as_deref()).await;
            expect(&second.body, ended(EndReason::Logout));

            let third = get(client, "/login/ada", None).await.body;
            let users = client.rocket().state::<UserSessions>().unwrap();
            users.revoke_all("ada").await.unwrap();
            expect(&third, ended(EndReason::Revoked));
            let fourth = get(client, "/login/ada", None).await.body;
            admin.revoke(&fourth).await.unwrap();
            expect(&fourth, ended(EndReason::Revoked));

            let cookie = new_cookie(client).await;
            let swept = get(client, "/id", Some(&cookie)).await.body;
            clock.advance(TimeDelta::hours(25));
            admin.sweep().await.unwrap();
            expect(&swept, ended(EndReason::Expired));
            let cookie = new_cookie(client).await;
            let cleared = get(client, "/id", Some(&cookie)).await.body;
            admin.clear().await.unwrap();
            expect(&cleared, ended(EndReason::Cleared));

            assert_eq!(metric(admin, "sessions_created_total"), 6);
            assert_eq!(metric(admin, "sessions_rotated_total"), 2);
            assert_eq!(metric(admin, "sessions_logins_total"), 4);
            for (reason, number) in
                [("logout", 1), ("revoked", 2), ("replaced", 1), ("expired", 1), ("cleared", 1)]
            {
                let name = format!("sessions_ended_total{{reason=\"{reason}\"}}");
                assert_eq!(metric(admin, &name), number, "{reason}");
            }
        });
    }

    fn hourly_statistics_include_sessions_that_are_gone(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        registered(&client, "bob");
        let mut nobody = Visitor::new(&client);
        nobody.visit();
        let stats = ada.get(STATS).json();
        assert_eq!((&stats["active"], &stats["anonymous"], &stats["signedIn"], &stats["exact"]),
            (&3.into(), &1.into(), &2.into(), &true.into()), "{stats}");
        assert_eq!(stats["nextExpiries"].as_array().unwrap().len(), 3);
        nobody.delete("/api/session");
        let stats = ada.get(STATS).json();
        let hour = this_hour(&stats);
        assert_eq!((&stats["active"], &hour["created"], &hour["peakActive"], &hour["users"]),
            (&2.into(), &3.into(), &3.into(), &2.into()), "{stats}");
        assert_eq!(hour["ended"]["logout"], 1);

        // Another instance adds to the same hours, and a user is counted once.
        let (other, other_clock) = application(database, "");
        other_clock.advance(clock.now() - other_clock.now());
        let mut elsewhere = Visitor::with_cookie(&other, ada.cookie.clone().unwrap());
        elsewhere.visit();
        Visitor::new(&other).visit();
        let stats = elsewhere.get(STATS).json();
        let hour = this_hour(&stats);
        assert_eq!((&stats["active"], &hour["created"], &hour["users"]),
            (&3.into(), &4.into(), &2.into()), "{stats}");

        // The hours are kept when the rows are gone.
        clock.advance(TimeDelta::hours(25));
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!(run(admin.sweep()).unwrap().deleted, 3);
        let stats = Visitor::new(&client).get(&format!("{STATS}?hours=48")).json();
        let hours = stats["hours"].as_array().unwrap();
        assert_eq!((&stats["active"], hours.len()), (&0.into(), 2), "{stats}");
        assert_eq!((&hours[0]["created"], &hours[0]["users"]), (&4.into(), &2.into()));
        assert_eq!(hours[1]["ended"]["expired"], 3);
        let sweeps = run(admin.sweeps(10)).unwrap();
        assert_eq!((sweeps.len(), sweeps[0].deleted, &sweeps[0].error), (1, 3, &None));
        let recent = Visitor::new(&client).get(STATS).json();
        assert_eq!(recent["hours"].as_array().unwrap().len(), 1);
    }

    fn usage_is_summed_up_and_deleted_after_its_retention(database: &Database) {
        let store = database.store();
        let now = Utc::now();
        let hour: chrono::DateTime<Utc> = "2026-01-01T10:00:00Z".parse().unwrap();
        let delta = |active, users: &[&str]| altered(UsageDelta::new(hour), |delta| {
            delta.created = 1;
            delta.ended.add(EndReason::Logout, 1);
            delta.ended.add(EndReason::Expired, 2);
            delta.active = active;
            delta.users = users.iter().map(|user| (*user).to_owned()).collect();
        });
        store.add_usage(&[delta(5, &["ada", "bob"]), delta(3, &["bob"])]).unwrap();
        store.add_usage(&[delta(0, &[])]).unwrap();
        let expected = altered(HourStats::new(hour), |expected| {
            expected.created = 3;
            expected.ended.add(EndReason::Logout, 3);
            expected.ended.add(EndReason::Expired, 6);
            expected.peak_active = 5;
            expected.users = 2;
        });
        assert_eq!(store.usage(hour).unwrap(), std::slice::from_ref(&expected));
        assert_eq!(store.usage(hour + TimeDelta::hours(1)).unwrap(), []);
        let failed = altered(SweepRecord::new(hour), |failed| {
            failed.elapsed = std::time::Duration::from_millis(7);
            failed.deleted = 2;
            failed.error = Some("the database is down".to_owned());
        });
        store.add_sweep(&failed).unwrap();
        assert_eq!(store.sweeps(10).unwrap(), [failed]);

        // The ids of users are deleted first; their number is kept.
        store.forget(hour, now).unwrap();
        let names = "SELECT count(*) AS n FROM session_stats_users";
        assert_eq!(database.number(names), 0);
        assert_eq!(store.usage(hour).unwrap(), [expected]);
        store.forget(hour + TimeDelta::microseconds(1), now).unwrap();
        assert_eq!((store.usage(hour).unwrap(), store.sweeps(10).unwrap()), (vec![], vec![]));
    }

    fn sessions_ended_without_a_server_are_in_the_statistics(database: &Database) {
        let store = database.store();
        let now = Utc::now();
        let mut expired = new_session(None);
        expired.expires_at = now;
        store.create(&[expired, new_session(None), new_session(None)]).unwrap();
        let admin = StoreAdmin::new(&*store).statistics(&*store);
        let mut progress = Vec::new();
        let report = admin.sweep(now, |deleted| progress.push(deleted)).unwrap();
        assert_eq!((report.deleted, progress), (1, vec![1]));
        let mut cleared = Vec::new();
        admin.clear(now, |ended| cleared.extend_from_slice(ended)).unwrap();
        assert_eq!(cleared.len(), 2);
        admin.note_ended(EndReason::Revoked, 4, now);
        admin.note_ended(EndReason::Revoked, 0, now + TimeDelta::hours(1));
        // Without statistics, it ends as well, and nothing is counted.
        store.create(&[new_session(None)]).unwrap();
        StoreAdmin::new(&*store).clear(now + TimeDelta::minutes(1), |_| {}).unwrap();

        let stats = SessionStats::read(&*store, now, 1).unwrap();
        assert_eq!((stats.active, stats.is_exact, stats.hours.len()), (0, true, 1), "{stats:?}");
        assert_eq!(stats.hours[0].hour, HourStats::hour_of(now));
        let ended = [(EndReason::Revoked, 4), (EndReason::Expired, 1), (EndReason::Cleared, 2)];
        assert_eq!(stats.hours[0].ended, EndCounts::from_iter(ended));
        let sweeps = store.sweeps(10).unwrap();
        assert_eq!((sweeps.len(), sweeps[0].deleted, &sweeps[0].error), (1, 1, &None));

        // A pass that is refused is recorded too.
        let behind = now - TimeDelta::hours(1);
        let hooked = HookedStore::with_clock(store.clone(), now);
        let admin = StoreAdmin::new(&*hooked).statistics(&*store);
        let refused = admin.sweep(behind, |_| {}).unwrap_err();
        let refused = Some(refused.to_string());
        assert!(store.sweeps(10).unwrap().iter().any(|sweep| sweep.error == refused));
    }

    fn a_large_table_is_sampled_instead_of_counted_on_each_request(database: &Database) {
        let store = database.store();
        let new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
        store.create(&new).unwrap();
        let (client, _) = application(database, "");
        let stats = Visitor::new(&client).get(STATS).json();
        assert_eq!((&stats["active"], &stats["exact"]), (&10_001.into(), &false.into()), "{stats}");
        database.execute("DELETE FROM sessions");
        let stats = Visitor::new(&client).get(STATS).json();
        assert_eq!((&stats["active"], &stats["exact"]), (&0.into(), &true.into()), "{stats}");
    }

    fn a_stopping_server_writes_its_last_statistics(database: &Database) {
        let server = Server::start(database);
        let mut visitor = server.client();
        visitor.visit();
        assert_eq!(visitor.delete("/api/session").status, 204);
        assert_eq!(server.terminate(), Some(0));
        let hours = database.store().usage(Utc::now() - TimeDelta::hours(2)).unwrap();
        let created: u64 = hours.iter().map(|hour| hour.created).sum();
        let ended: u64 = hours.iter().map(|hour| hour.ended.total()).sum();
        assert_eq!((created, ended), (1, 1));
    }
}

#[test]
fn statistics_are_written_at_the_configured_interval() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let environment = [("ROCKET_SESSIONS", r#"{stats_interval="1s"}"#)];
    let server = Server::start_with(&database, &environment);
    server.client().visit();
    wait_until("the visit is in the table", || {
        database.number("SELECT coalesce(max(created), 0) AS n FROM session_stats") == 1
    });
}

#[test]
fn metrics_are_open_only_to_those_whom_the_setting_names() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (here, away) = ("127.0.0.1:1", "192.0.2.1:1");
    let token = ("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let wrong = ("Authorization", "Bearer x".to_owned());
    let header = |name, value: &str| vec![(name, value.to_owned())];
    let access = Some(MetricsAccess::Token);
    for (profile, access, statuses) in [
        ("release", None, [401, 200, 401, 401, 401, 401, 401]),
        (
            "release",
            Some(MetricsAccess::Loopback),
            [200, 200, 401, 401, 401, 401, 200],
        ),
        ("release", Some(MetricsAccess::Off), [404; 7]),
        ("debug", None, [200, 200, 401, 401, 401, 401, 200]),
        // This is not open to this machine in the debug profile.
        ("debug", access, [401, 200, 401, 401, 401, 401, 401]),
    ] {
        let mut settings = settings(&database, "");
        settings.figment = figment(profile, "");
        settings.app.metrics = access;
        let (client, _) = application_of(settings, database.store());
        for ((remote, headers), status) in [
            (here, vec![]),
            (away, vec![token.clone()]),
            (away, vec![]),
            (here, vec![wrong.clone()]),
            (here, header("X-Forwarded-For", "192.0.2.1")),
            (here, header("Host", "app.example.com")),
            (here, header("Authorization", "Basic eDp5")),
        ]
        .into_iter()
        .zip(statuses)
        {
            let mut request = client.get("/metrics").remote(remote.parse().unwrap());
            for (name, value) in &headers {
                request.add_header(Header::new(*name, value.clone()));
            }
            let answer = request.dispatch();
            let case = format!("{profile} {access:?} {remote} {headers:?}");
            assert_eq!(answer.status().code, status, "{case}");
            if status == 200 {
                let kind = answer.headers().get_one("Content-Type").unwrap();
                assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
                let text = answer.into_string().unwrap();
                assert_eq!(metric_of(&text, "sessions_created_total"), 0, "{case}");
                let depth = "sessions_queue_depth{kind=\"load\"}";
                assert_eq!(metric_of(&text, depth), 0, "{case}");
            }
        }
    }
}

#[test]
fn metrics_count_the_reasons_for_missing_sessions() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, clock) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    visitor.visit();
    let cookie = visitor.cookie.clone().unwrap();
    visitor.session();
    clock.advance(TimeDelta::hours(25));
    visitor.session();
    Visitor::new(&client).session();
    Visitor::with_cookie(&client, "session=forged").session();
    database.execute("DELETE FROM sessions");
    Visitor::with_cookie(&client, cookie).session();
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    for (reason, number) in [("none", 2), ("forged", 1), ("expired", 1), ("gone", 1)] {
        let name = format!("sessions_missed_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(admin, &name), number, "{reason}");
    }
    assert_eq!(metric(admin, "sessions_loaded_total"), 1);
    assert!(metric(admin, "sessions_statement_seconds_count{call=\"load\"}") >= 3);
    let answer = Visitor::new(&client).get(&format!("{STATS}?hours=0"));
    assert_eq!(answer.status, Status::UnprocessableEntity);
}

/// A real store whose table takes too long to count.
struct Uncountable {
    inner: Arc<DieselStore>,
    counts: AtomicU32,
}

impl StatsStore for Uncountable {
    fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        self.inner.add_usage(deltas)
    }

    fn usage(&self, from: DateTime<Utc>) -> Result<Vec<HourStats>, StoreError> {
        self.inner.usage(from)
    }

    fn add_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError> {
        self.inner.add_sweep(sweep)
    }

    fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, StoreError> {
        self.inner.sweeps(limit)
    }

    fn forget(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.inner.forget(before, now)
    }

    fn census(&self, now: DateTime<Utc>, limit: Option<u32>) -> Result<Option<Census>, StoreError> {
        if limit.is_some() {
            return self.inner.census(now, limit);
        }
        self.counts.fetch_add(1, Ordering::SeqCst);
        // So that the next count is not due at once.
        std::thread::sleep(std::time::Duration::from_millis(50));
        Err(StoreError::Query(Cause::new("a statement")))
    }

    fn next_expiries(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        self.inner.next_expiries(now, limit)
    }
}

#[test]
fn a_table_that_cannot_be_counted_in_time_causes_no_errors() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    let new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
    store.create(&new).unwrap();
    let stats = Arc::new(Uncountable {
        inner: store.clone(),
        counts: AtomicU32::new(0),
    });
    let stores = Stores {
        stats: stats.clone(),
        ..Stores::from(store)
    };
    let (client, _) = application_of(settings(&database, ""), stores);
    for _ in 0..5 {
        let answer = Visitor::new(&client).get(STATS);
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        let stats = answer.json();
        assert_eq!(
            (&stats["active"], &stats["exact"]),
            (&10_001.into(), &false.into())
        );
        assert_eq!(Visitor::new(&client).get("/admin").status, Status::Ok);
    }
    let read = SessionStats::read(&*stats, Utc::now(), 1).unwrap();
    assert_eq!((read.active, read.is_exact), (10_001, false));
    stats.counts.fetch_sub(1, Ordering::SeqCst);
    // Unknown numbers are not recorded.
    let hour = stats
        .usage(chrono::Utc::now() - chrono::TimeDelta::hours(1))
        .unwrap();
    assert!(hour.iter().all(|hour| hour.peak_active == 0), "{hour:?}");
    // By the first view or by the thread. No one tries again soon.
    assert!(
        stats.counts.load(Ordering::SeqCst) <= 2,
        "{:?}",
        stats.counts
    );
}
