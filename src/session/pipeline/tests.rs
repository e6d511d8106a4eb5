//! Tests of the pipeline with a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use rocket::tokio::runtime::Runtime;
use tempfile::TempDir;

use super::job::{Apply, Change, Job, Update, WriteJob};
use super::start::{Pipeline, PipelineOptions};
use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::session::observe::monitor::{Keeps, Monitor};
use crate::store::{
    DieselStore, EndReason, ListSessions, NewSession, SessionKey, SessionStore, StoreOptions,
    TouchSession,
};
use crate::testing::new_session;

fn store(folder: &TempDir) -> Arc<DieselStore> {
    let url = format!("sqlite://{}/test.db", folder.path().display());
    let store = DieselStore::open(&url.parse().unwrap(), StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    Arc::new(store)
}

fn pipeline(store: &Arc<DieselStore>) -> Pipeline {
    let options = PipelineOptions {
        workers: 3,
        max_batch: 256,
        max_queue: 4096,
        direct_calls: 2,
        timeout: Duration::from_secs(10),
    };
    let clock = Arc::new(crate::session::SystemClock);
    let monitor = Monitor::new(Vec::new(), Keeps::default(), clock).unwrap();
    Pipeline::start(Arc::clone(store) as _, Arc::new(monitor), None, options).unwrap()
}

/// A session whose data is a count.
fn counter() -> NewSession {
    NewSession {
        data: "0".to_owned(),
        ..new_session(Utc::now())
    }
}

/// Returns an update that increments the data.
fn increment() -> Apply {
    increment_into(Arc::default())
}

/// Returns an update that increments the data and stores the result in `made`.
fn increment_into(made: Arc<AtomicU64>) -> Apply {
    Box::new(move |record| {
        let count = record.data.parse::<u64>().unwrap() + 1;
        made.store(count, Ordering::Relaxed);
        Ok(Change::Data(count.to_string()))
    })
}

#[test]
fn jobs_queued_at_shutdown_are_done_and_later_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let pipeline = pipeline(&store);
    let new = counter();
    store.create(std::slice::from_ref(&new)).unwrap();
    let session = new.into_record();

    // Jobs whose callers wait on other threads, like those of requests.
    let mut answers = Vec::new();
    for _ in 0..1000 {
        let update = Update {
            session: session.clone().into(),
            now: pipeline.shared.queue.moment(session.created_at),
            apply: increment(),
        };
        let (job, answer) = Job::new(update, pipeline.deadline());
        pipeline
            .shared
            .queue
            .push_write(WriteJob::Update(job))
            .unwrap();
        answers.push(answer);
    }
    let touched_at = session.created_at + TimeDelta::minutes(1);
    let touch = TouchSession {
        session_id: session.session_id,
        id: None,
        now: touched_at,
        expires_at: session.expires_at,
        user_agent: None,
        ip: None,
    };
    pipeline.touch(touch, session.expires_at);
    let queue = Arc::clone(&pipeline.shared.queue);
    drop(pipeline);

    let mut done = 0;
    for mut answer in answers {
        match answer.try_recv() {
            Ok(Ok(Some(_))) => done += 1,
            Ok(_) => panic!("refused, though there was time"),
            Err(error) => panic!("not answered: {error}"),
        }
    }
    let query = ListSessions {
        now: session.created_at,
        after: None,
        user_id: None,
        kind: None,
        limit: 1,
    };
    let stored = store.list(&query).unwrap().remove(0);
    assert_eq!((done, stored.data.as_str()), (1000, "1000"));
    // A thousand increments take only a few writes.
    assert!(stored.version < 100, "{} writes", stored.version);
    assert_eq!(stored.last_seen_at, touched_at);

    let (job, _answer) = Job::new(SessionKey::new(session.session_id), Instant::now());
    assert!(matches!(queue.push_load(job), Err(SessionError::Aborted)));
}

#[test]
fn i1_each_caller_sees_its_own_update_and_can_continue_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let pipeline = Arc::new(pipeline(&store));
    let runtime = Runtime::new().unwrap();
    let mut seen: Vec<u64> = runtime.block_on(async {
        let new = counter();
        pipeline
            .create(new.clone(), EventContext::default())
            .await
            .unwrap()
            .told();
        let session = new.into_record();
        let updates: Vec<_> = (0..500)
            .map(|_| {
                let (pipeline, session) = (Arc::clone(&pipeline), session.clone());
                rocket::tokio::spawn(async move {
                    let now = session.created_at;
                    let (first, second) = (Arc::<AtomicU64>::default(), Arc::default());
                    let update = increment_into(Arc::clone(&first));
                    let updated = pipeline.update(session.into(), now, update).await;
                    let stored = updated.unwrap().unwrap();
                    let update = increment_into(Arc::clone(&second));
                    let stored = stored.record;
                    pipeline.update(stored, now, update).await.unwrap().unwrap();
                    [first, second].map(|made| made.load(Ordering::Relaxed))
                })
            })
            .collect();
        let mut seen = Vec::new();
        for update in updates {
            seen.extend(update.await.unwrap());
        }
        seen
    });
    seen.sort_unstable();
    assert_eq!(seen, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn an_unchanged_update_is_verified_against_the_newest_row_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let pipeline = pipeline(&store);
    Runtime::new().unwrap().block_on(async {
        let new = counter();
        pipeline
            .create(new.clone(), EventContext::default())
            .await
            .unwrap()
            .told();
        let stale = new.into_record();
        let now = stale.created_at;
        pipeline
            .update(stale.clone().into(), now, increment())
            .await
            .unwrap();
        let unchanged: Apply = Box::new(|_| Ok(Change::Unchanged));
        let seen = pipeline
            .update(stale.clone().into(), now, unchanged)
            .await
            .unwrap();
        let seen = seen.unwrap().record;
        assert_eq!((seen.data.as_str(), seen.version), ("1", 1));
        assert!(
            pipeline
                .delete(stale.id.clone(), EndReason::Logout, Facts::default())
                .await
                .unwrap()
        );
        let unchanged: Apply = Box::new(|_| Ok(Change::Unchanged));
        let gone = pipeline.update(stale.into(), now, unchanged).await.unwrap();
        assert!(gone.is_none());
    });
}
