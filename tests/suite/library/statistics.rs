//! Usage over time.

use chrono::{TimeDelta, Utc};
use rocket::serde::json::{Value, json};
use rocket_diesel_sessions::admin::{SessionStats, StoreAdmin};
use rocket_diesel_sessions::store::{
    EndCounts, HourStats, SessionStore, StatsStore, SweepRecord, UsageDelta,
};
use rocket_diesel_sessions::{Clock, EndReason, SessionAdmin};

use crate::support::accounts::registered;
use crate::support::altered;
use crate::support::embedded::run;
use crate::support::hooked::HookedStore;
use crate::support::local::application;
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Server, Visitor, wait_until};

pub(super) const STATS: &str = "/api/session/stats";

/// Returns the current figures.
pub(super) fn present(stats: &Value) -> Value {
    let mut present = stats.clone();
    for key in ["hours", "nextExpiries"] {
        present.as_object_mut().unwrap().remove(key).unwrap();
    }
    present
}

/// Returns the figures of the hours, without their times.
fn hours(stats: &Value) -> Value {
    let mut hours = stats["hours"].clone();
    for hour in hours.as_array_mut().unwrap() {
        hour.as_object_mut().unwrap().remove("hour").unwrap();
    }
    hours
}

/// Returns the number of ended sessions for each reason that has any.
fn ended(reasons: &[(&str, u64)]) -> Value {
    let mut ended = json!({"cleared": 0, "expired": 0, "logout": 0, "replaced": 0, "revoked": 0});
    for (reason, number) in reasons {
        ended[*reason] = json!(number);
    }
    ended
}

on_each_database! {
    fn hourly_statistics_include_sessions_that_are_gone(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        registered(&client, "bob");
        let mut nobody = Visitor::new(&client);
        nobody.visit();
        let stats = ada.get(STATS).json();
        let expected = json!({"active": 3, "anonymous": 1, "signedIn": 2, "exact": true});
        assert_eq!(present(&stats), expected);
        assert_eq!(stats["nextExpiries"].as_array().unwrap().len(), 3);
        nobody.delete("/api/session");
        let stats = ada.get(STATS).json();
        let expected = json!({"active": 2, "anonymous": 0, "signedIn": 2, "exact": true});
        assert_eq!(present(&stats), expected);
        let logout = ended(&[("logout", 1)]);
        let expected = json!([{"created": 3, "ended": logout, "peakActive": 3, "users": 2}]);
        assert_eq!(hours(&stats), expected);

        // Another instance adds to the same hours, and a user is counted once.
        let (other, other_clock) = application(database, "");
        other_clock.advance(clock.now() - other_clock.now());
        let mut elsewhere = Visitor::with_cookie(&other, ada.cookie.clone().unwrap());
        elsewhere.visit();
        Visitor::new(&other).visit();
        let stats = elsewhere.get(STATS).json();
        let expected = json!({"active": 3, "anonymous": 1, "signedIn": 2, "exact": true});
        assert_eq!(present(&stats), expected);
        let expected = json!([{"created": 4, "ended": logout, "peakActive": 3, "users": 2}]);
        assert_eq!(hours(&stats), expected);

        // The hours are kept when the rows are gone.
        clock.advance(TimeDelta::hours(25));
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!(run(admin.sweep()).unwrap().deleted, 3);
        let stats = Visitor::new(&client).get(&format!("{STATS}?hours=48")).json();
        let expected = json!({"active": 0, "anonymous": 0, "signedIn": 0, "exact": true});
        assert_eq!(present(&stats), expected);
        let expired = ended(&[("expired", 3)]);
        let expected = json!([
            {"created": 4, "ended": logout, "peakActive": 3, "users": 2},
            {"created": 0, "ended": expired, "peakActive": 0, "users": 0},
        ]);
        assert_eq!(hours(&stats), expected);
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
            delta.users = users.iter().map(|user| (*user).into()).collect();
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

    fn sessions_that_have_expired_are_not_counted_while_they_are_stored(database: &Database) {
        let (store, now) = (database.store(), Utc::now());
        database.add_users(&["ada"]);
        let mut made = [Some("ada"), None, Some("ada"), Some("ada"), None].map(new_session);
        for expired in &mut made[2..] {
            expired.expires_at = now;
        }
        store.create(&made).unwrap();
        for limit in [None, Some(2), Some(100)] {
            let census = store.census(now, limit).unwrap().unwrap();
            assert_eq!((census.active, census.signed_in), (2, 1), "{limit:?}");
        }
        assert_eq!(store.census(now, Some(1)).unwrap(), None);
    }

    fn a_large_table_is_sampled_instead_of_counted_on_each_request(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
        new[0].user_id = Some("ada".into());
        store.create(&new).unwrap();
        let (client, _) = application(database, "");
        let many = json!({"active": 10_001, "anonymous": 10_000, "signedIn": 1, "exact": false});
        wait_until("a sample is taken", || {
            present(&Visitor::new(&client).get(STATS).json()) == many
        });
        database.execute("DELETE FROM sessions");
        let stats = Visitor::new(&client).get(STATS).json();
        let none = json!({"active": 0, "anonymous": 0, "signedIn": 0, "exact": true});
        assert_eq!(present(&stats), none);
    }

    fn a_table_that_grows_large_keeps_its_last_count_until_the_next(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut new: Vec<_> = (0..10_000).map(|_| new_session(None)).collect();
        new[0].user_id = Some("ada".into());
        store.create(&new).unwrap();
        let (client, _) = application(database, "stats_interval = \"1h\"");
        let numbers = |exact: bool| json!({"active": 10_000, "anonymous": 9_999, "signedIn": 1, "exact": exact});
        let stats = || present(&Visitor::new(&client).get(STATS).json());
        assert_eq!(stats(), numbers(true));
        store.create(&[new_session(None)]).unwrap();
        // Unless the recorder's first round is only now.
        wait_until("the last count is shown", || stats()["exact"] == false);
        let shown = stats();
        assert!(shown == numbers(false) || shown["active"] == 10_001, "{shown}");
        assert_eq!(shown["signedIn"], 1);
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
