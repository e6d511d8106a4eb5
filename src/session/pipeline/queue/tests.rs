//! The queue by itself: no store, no threads.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::session::pipeline::job::{Answer, Change, Job, Update};
use crate::store::{NewSession, TokenHash};

fn queue(waiting: usize, batch: usize, writers: usize) -> Queue {
    Queue::new(Limits {
        waiting,
        batch,
        writers,
    })
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn load() -> LoadJob {
    Job::new(Uuid::now_v7(), later()).0
}

fn record(session_id: Uuid) -> SessionRecord {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    NewSession {
        id: "handle".into(),
        session_id,
        token_hash: TokenHash::from_bytes([0; 32]),
        user_id: None,
        data: "0".into(),
        expires_at: now,
        absolute_expires_at: now,
        user_agent: None,
        ip: None,
        now,
    }
    .into_record()
}

fn update(session_id: Uuid) -> (WriteJob, Answer<Option<SessionRecord>>) {
    let work = Update {
        session: record(session_id),
        now: DateTime::UNIX_EPOCH,
        apply: Box::new(|_| Ok(Change::Unchanged)),
    };
    let (job, answer) = Job::new(work, later());
    (WriteJob::Update(job), answer)
}

fn touch(session_id: Uuid, seconds: i64, ip: Option<&str>) -> TouchSession {
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    TouchSession {
        session_id,
        now,
        expires_at: now,
        user_agent: None,
        ip: ip.map(str::to_owned),
    }
}

fn writes(queue: &Queue) -> (WriteTurn, Instant) {
    match queue.next() {
        Some(Turn::Writes(turn, began)) => (turn, began),
        _ => panic!("no writes"),
    }
}

/// How many loads the next turn has.
fn loads(queue: &Queue) -> (usize, Instant) {
    match queue.next() {
        Some(Turn::Loads(jobs, began)) => (jobs.len(), began),
        _ => panic!("no loads"),
    }
}

#[test]
fn a_full_queue_takes_in_nothing_and_a_closed_one_is_finished_first() {
    let queue = queue(2, 10, 1);
    assert!(queue.push_load(load()).is_ok() && queue.push_load(load()).is_ok());
    let refused = queue.push_load(load());
    assert!(matches!(refused, Err(SessionError::Overloaded)));
    queue.close();
    assert!(matches!(
        queue.push_load(load()),
        Err(SessionError::Aborted)
    ));
    assert_eq!(loads(&queue).0, 2);
    assert!(queue.next().is_none());
}

#[test]
fn a_turn_takes_all_of_the_older_kind_up_to_the_batch() {
    let queue = queue(100, 3, 1);
    let mut answers = Vec::new();
    for _ in 0..4 {
        queue.push_load(load()).unwrap();
    }
    for _ in 0..2 {
        let (job, answer) = update(Uuid::now_v7());
        queue.push_write(job).unwrap();
        answers.push(answer);
    }
    let (count, began) = loads(&queue);
    assert_eq!(count, 3);
    queue.end_loads(began);
    assert_eq!(loads(&queue).0, 1);
    assert_eq!(writes(&queue).0.updates.len(), 2);
}

#[test]
fn i1_updates_of_a_busy_session_wait_and_start_from_what_was_committed() {
    let queue = queue(100, 10, 2);
    let (hot, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut answers = Vec::new();
    let mut push = |id| {
        let (job, answer) = update(id);
        queue.push_write(job).unwrap();
        answers.push(answer);
    };
    push(hot);
    push(hot);
    let (first, first_began) = writes(&queue);
    assert_eq!(
        (first.updates.len(), first.sessions.as_slice()),
        (2, &[hot][..])
    );
    push(hot);
    push(other);
    push(hot);
    // Another worker gets the other session alone.
    let (second, second_began) = writes(&queue);
    assert_eq!(second.sessions, [other]);
    queue.end_writes(second_began, &second.sessions, HashMap::new());
    let mut committed = record(hot);
    committed.version = 7;
    queue.end_writes(
        first_began,
        &first.sessions,
        HashMap::from([(hot, committed)]),
    );
    let (third, _) = writes(&queue);
    assert_eq!(third.updates.len(), 2);
    assert_eq!(third.updates[0].work.session.version, 7);
}

#[test]
fn what_a_turn_could_not_take_of_a_session_waits_for_it() {
    let queue = queue(100, 2, 2);
    let hot = Uuid::now_v7();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let (job, answer) = update(hot);
        queue.push_write(job).unwrap();
        answers.push(answer);
    }
    let (first, began) = writes(&queue);
    assert_eq!(first.updates.len(), 2);
    queue.push_load(load()).unwrap();
    assert_eq!(loads(&queue).0, 1);
    queue.end_writes(began, &first.sessions, HashMap::new());
    assert_eq!(writes(&queue).0.updates.len(), 1);
}

#[test]
fn one_writer_leaves_the_loads_to_others() {
    let queue = queue(100, 1, 1);
    let (one, _one) = update(Uuid::now_v7());
    let (other, _other) = update(Uuid::now_v7());
    queue.push_write(one).unwrap();
    queue.push_write(other).unwrap();
    queue.push_load(load()).unwrap();
    let (turn, began) = writes(&queue);
    assert_eq!(loads(&queue).0, 1);
    queue.end_writes(began, &turn.sessions, HashMap::new());
    assert_eq!(writes(&queue).0.updates.len(), 1);
}

#[test]
fn a_turn_that_takes_long_keeps_no_other_from_beginning() {
    let queue = queue(100, 10, 2);
    queue.push_load(load()).unwrap();
    let (_, began) = loads(&queue);
    queue.push_load(load()).unwrap();
    let (_, second) = loads(&queue);
    assert!(second.duration_since(began) >= LONG);
    // A whole batch does not wait.
    for _ in 0..10 {
        queue.push_load(load()).unwrap();
    }
    assert_eq!(loads(&queue).0, 10);
}

#[test]
fn touches_of_a_session_are_merged_and_bounded() {
    let queue = queue(2, 10, 1);
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    queue.push_touch(touch(one, 2, Some("b")));
    queue.push_touch(touch(one, 1, Some("a")));
    queue.push_touch(touch(one, 3, None));
    queue.push_touch(touch(other, 1, None));
    queue.push_touch(touch(Uuid::now_v7(), 1, None));
    let mut touches = writes(&queue).0.touches;
    touches.sort_by_key(|touch| touch.session_id);
    assert_eq!(touches.len(), 2);
    assert_eq!(touches[0].now.timestamp(), 3);
    assert_eq!(touches[0].ip.as_deref(), Some("b"));
}
