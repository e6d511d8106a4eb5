//! Usage over time where the database is slow.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::serde::json::json;
use rocket_diesel_sessions::admin::SessionStats;
use rocket_diesel_sessions::store::{
    Census, HourStats, SessionStore, StatsStore, StoreError, SweepRecord, UsageDelta,
};
use rocket_diesel_sessions::{Cause, DieselStore, SessionAdmin};
use rocket_diesel_sessions_app::Stores;

use super::statistics::{STATS, present};
use crate::support::embedded::run;
use crate::support::local::{Visitor, application_of, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, wait_until};

/// A real store whose table takes too long to count, and whose first write takes a while.
struct Slow {
    inner: Arc<DieselStore>,
    /// If there is one, counts succeed, but each waits for a message of this channel.
    permits: Option<Mutex<Receiver<()>>>,
    /// The start and end times of counts.
    counts: Mutex<Vec<[Instant; 2]>>,
    /// Number of writes that have begun.
    writes: AtomicU32,
}

impl Slow {
    fn of(inner: Arc<DieselStore>) -> Self {
        Self {
            inner,
            permits: None,
            counts: Mutex::default(),
            writes: AtomicU32::default(),
        }
    }

    fn new(inner: Arc<DieselStore>) -> Arc<Self> {
        Arc::new(Self::of(inner))
    }
}

impl StatsStore for Slow {
    fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        if self.writes.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(200));
        }
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
        if let Some(permits) = &self.permits {
            permits.lock().unwrap().recv().unwrap();
            return self.inner.census(now, limit);
        }
        let start = Instant::now();
        // As long as a statement that is cancelled by its timeout.
        std::thread::sleep(Duration::from_millis(20));
        self.counts.lock().unwrap().push([start, Instant::now()]);
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
fn i13_a_reader_finds_the_usage_that_another_thread_is_writing() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    let stats = Slow::new(store.clone());
    let stores = Stores {
        stats: stats.clone(),
        ..Stores::from(store)
    };
    let (client, _) = application_of(settings(&database, ""), stores);
    Visitor::new(&client).visit();
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    let created = || run(admin.stats(1)).unwrap().hours[0].created;
    std::thread::scope(|scope| {
        scope.spawn(created);
        wait_until("a write has begun", || {
            stats.writes.load(Ordering::SeqCst) > 0
        });
        assert_eq!(created(), 1);
    });
}

#[test]
fn a_view_of_many_sessions_does_not_wait_until_they_are_counted() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    let new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
    store.create(&new).unwrap();
    let (permit, permits) = channel();
    let stats = Arc::new(Slow {
        permits: Some(Mutex::new(permits)),
        ..Slow::of(store.clone())
    });
    let stores = Stores {
        stats,
        ..Stores::from(store)
    };
    let (client, _) = application_of(settings(&database, ""), stores);
    let mut visitor = Visitor::new(&client);
    let overview = visitor.get("/admin").body;
    assert!(overview.contains("id=\"not-counted\""), "{overview}");
    assert!(overview.contains("<dd class=\"figure\" data-figure=\"active\">over 10,000</dd>"));
    assert!(overview.contains("<dd class=\"figure\" data-figure=\"signedIn\">–</dd>"));
    let list = visitor.get("/admin/sessions").body;
    assert!(list.contains("More than 10,000 sessions"), "{list}");
    let list = visitor.get("/admin/sessions?filter=anonymous").body;
    assert!(!list.contains("id=\"total\""), "{list}");
    permit.send(()).unwrap();
    wait_until("the sessions are counted", || {
        !visitor.get("/admin").body.contains("id=\"not-counted\"")
    });
    let list = visitor.get("/admin/sessions?filter=anonymous").body;
    assert!(list.contains("About 10,001 sessions"), "{list}");
}

#[test]
fn a_table_that_cannot_be_counted_in_time_causes_no_errors() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    let new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
    store.create(&new).unwrap();
    let stats = Slow::new(store.clone());
    let stores = Stores {
        stats: stats.clone(),
        ..Stores::from(store)
    };
    // Whoever asks counts, when a count is due.
    let (client, _) = application_of(settings(&database, "stats_interval = \"0s\""), stores);
    let number = || stats.counts.lock().unwrap().len();
    wait_until("it was counted three times", || {
        let answer = Visitor::new(&client).get(STATS);
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        let stats = answer.json();
        let many = json!({"active": 10_001, "anonymous": 10_001, "signedIn": 0, "exact": false, "minimum": true});
        assert_eq!(present(&stats), many);
        assert_eq!(Visitor::new(&client).get("/admin").status, Status::Ok);
        number() == 3
    });
    // Unknown numbers are not recorded.
    let hour = stats
        .usage(chrono::Utc::now() - chrono::TimeDelta::hours(1))
        .unwrap();
    assert!(hour.iter().all(|hour| hour.peak_active == 0), "{hour:?}");
    // After each count, no one counts for a hundred times as long.
    for pair in stats.counts.lock().unwrap().windows(2) {
        let ([began, ended], [next, _]) = (pair[0], pair[1]);
        assert!(next - ended >= 100 * (ended - began), "{pair:?}");
    }
    let read = SessionStats::read(&*stats, Utc::now(), 1).unwrap();
    assert_eq!(
        (read.active, read.is_exact, read.is_minimum),
        (10_001, false, true)
    );
}
