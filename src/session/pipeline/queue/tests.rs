//! Tests of the queue alone, without a store or threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::session::pipeline::job::{Answer, Change, Job, Update, UpdateJob, Updated};
use crate::session::pipeline::worker::round::{Round, WriteTurn};
use crate::session::pipeline::worker::update::SessionUpdates;
use crate::store::SessionKey;
use crate::testing::new_session;

fn queue(waiting: usize, batch: usize, writers: usize) -> Queue {
    Queue::new(Limits {
        waiting,
        batch,
        writers,
        timeout: Duration::from_secs(2),
        patience: Duration::from_secs(5),
        is_clock_real: true,
    })
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn load() -> LoadJob {
    Job::new(SessionKey::new(Uuid::now_v7()), later()).0
}

fn record(session_id: Uuid) -> SessionRecord {
    SessionRecord {
        id: "handle".into(),
        session_id,
        ..new_session(DateTime::UNIX_EPOCH).into_record()
    }
}

fn update(session_id: Uuid) -> (WriteJob, Answer<Option<Updated>>) {
    let work = Update {
        session: record(session_id).into(),
        now: Moment::new(DateTime::UNIX_EPOCH, false),
        apply: Box::new(|_| Ok(Change::Unchanged)),
    };
    let (job, answer) = Job::new(work, later());
    (WriteJob::Update(job), answer)
}

fn touch(session_id: Uuid, seconds: i64, ip: Option<&str>) -> TouchSession {
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    TouchSession {
        session_id,
        id: None,
        now,
        expires_at: now,
        user_agent: None,
        ip: ip.map(str::to_owned),
    }
}

fn writes(queue: &Queue) -> (WriteTurn, TurnId) {
    let (turn, id, _) = benched_writes(queue);
    (turn, id)
}

fn benched_writes(queue: &Queue) -> (WriteTurn, TurnId, Arc<Bench>) {
    match queue.next() {
        Some(Turn::Writes(turn, id, bench)) => (turn, id, bench),
        _ => panic!("no writes"),
    }
}

/// The number of loads of the next turn.
fn loads(queue: &Queue) -> (usize, TurnId) {
    match queue.next() {
        Some(Turn::Loads(jobs, id)) => (jobs.len(), id),
        _ => panic!("no loads"),
    }
}

fn sessions(turn: &WriteTurn) -> Vec<Uuid> {
    let session = |job: &UpdateJob| job.work.session.session_id;
    turn.updates.iter().map(session).collect()
}

#[test]
fn a_full_queue_refuses_jobs_and_a_closed_one_finishes_its_jobs() {
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
fn a_turn_takes_the_older_kind_of_jobs_up_to_the_batch_size() {
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
    assert!(queue.end(began, HashMap::new()));
    assert_eq!(loads(&queue).0, 1);
    assert_eq!(writes(&queue).0.updates.len(), 2);
}

#[test]
fn i1_updates_of_a_busy_session_wait_and_start_from_the_committed_row() {
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
    assert_eq!(sessions(&first), [hot, hot]);
    push(hot);
    push(other);
    push(hot);
    // Another worker gets only the other session.
    let (second, second_began) = writes(&queue);
    assert_eq!(sessions(&second), [other]);
    assert!(queue.end(second_began, HashMap::new()));
    let mut committed = record(hot);
    committed.version = 7;
    queue.end(first_began, HashMap::from([(hot, committed.into())]));
    let (third, _) = writes(&queue);
    assert_eq!(third.updates.len(), 2);
    assert_eq!(third.updates[0].work.session.version, 7);
}

#[test]
fn updates_beyond_the_batch_size_wait_for_their_sessions_turn() {
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
    assert!(queue.end(began, HashMap::new()));
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
    let (_, began) = writes(&queue);
    assert_eq!(loads(&queue).0, 1);
    assert!(queue.end(began, HashMap::new()));
    assert_eq!(writes(&queue).0.updates.len(), 1);
}

#[test]
fn a_second_turn_starts_beside_one_that_takes_long() {
    let queue = queue(100, 10, 2);
    queue.push_load(load()).unwrap();
    let began = Instant::now();
    loads(&queue);
    queue.push_load(load()).unwrap();
    loads(&queue);
    assert!(began.elapsed() >= LONG);
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
    queue.push_touch(touch(one, 2, Some("b")), DateTime::<Utc>::MAX_UTC);
    queue.push_touch(touch(one, 1, Some("a")), DateTime::<Utc>::MAX_UTC);
    queue.push_touch(touch(one, 3, None), DateTime::<Utc>::MAX_UTC);
    queue.push_touch(touch(other, 1, None), DateTime::<Utc>::MAX_UTC);
    queue.push_touch(touch(Uuid::now_v7(), 1, None), DateTime::<Utc>::MAX_UTC);
    let mut touches = writes(&queue).0.touches;
    touches.sort_by_key(|touch| touch.session_id);
    assert_eq!(touches.len(), 2);
    assert_eq!(touches[0].now.timestamp(), 3);
    assert_eq!(touches[0].ip.as_deref(), Some("b"));
}

#[test]
fn i4_a_touch_after_the_deadline_is_not_written() {
    let queue = queue(10, 10, 1);
    let (late, in_time) = (
        touch(Uuid::now_v7(), 2, None),
        touch(Uuid::now_v7(), 2, None),
    );
    queue.push_touch(late.clone(), late.now);
    queue.push_touch(in_time.clone(), in_time.now + TimeDelta::hours(1));
    let load = |touch: &TouchSession| {
        queue.push_load(Job::new(SessionKey::new(touch.session_id), later()).0)
    };
    assert!(load(&late).unwrap().is_none());
    assert!(load(&in_time).unwrap().is_some());
    loads(&queue);
    let touches = writes(&queue).0.touches;
    assert_eq!(touches.len(), 1);
    assert_eq!(touches[0].session_id, in_time.session_id);
    // A load sees it until it is written.
    assert!(load(&in_time).unwrap().is_some());
}

#[test]
fn i11_a_turn_stuck_in_the_store_releases_its_sessions() {
    let queue = queue(100, 10, 1);
    let hot = Uuid::now_v7();
    let (job, _answer) = update(hot);
    queue.push_write(job).unwrap();
    let (_, stuck) = writes(&queue);
    let (job, _other) = update(hot);
    queue.push_write(job).unwrap();
    let now = Instant::now();
    assert_eq!(queue.watch(now, 8), []);
    let later = now + Duration::from_secs(6);
    assert_eq!(queue.watch(later, 0), [], "no thread is left to replace it");
    assert_eq!(queue.watch(later, 8), [Stuck::Write]);
    let (turn, id) = writes(&queue);
    assert_eq!(sessions(&turn), [hot]);
    assert!(!queue.end(stuck, HashMap::new()) && queue.end(id, HashMap::new()));
}

#[test]
fn i11_jobs_behind_a_stuck_closure_go_to_another_worker() {
    let queue = queue(100, 10, 1);
    let (stuck, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut answers = Vec::new();
    for id in [other, stuck] {
        let (job, answer) = update(id);
        queue.push_write(job).unwrap();
        answers.push(answer);
    }
    let (turn, id, bench) = benched_writes(&queue);
    bench.put(Round {
        updates: SessionUpdates::by_session(turn.updates),
        ..Round::default()
    });
    let running = bench.begin().unwrap();
    assert_eq!(running.session_id(), stuck);
    let (now, later) = (Instant::now(), Instant::now() + LONGEST_CLOSURE);
    assert_eq!(queue.watch(now, 8), []);
    assert_eq!(queue.watch(later, 8), [Stuck::Closure("handle".into())]);
    let (turn, _) = writes(&queue);
    assert_eq!(sessions(&turn), [other]);
    // The worker keeps its own updates and learns that another has replaced it.
    let kept = bench.end(running, |round, updates| round.updates.push(updates));
    assert_eq!(kept.unwrap().session_id(), stuck);
    assert!(bench.begin().is_none() && !queue.end(id, HashMap::new()));
}

#[test]
fn a_job_that_was_put_off_is_handed_out_when_it_is_due() {
    let queue = queue(100, 10, 1);
    let (job, _answer) = update(Uuid::now_v7());
    queue.put_off([job]);
    assert_eq!(queue.depth(), (0, 1));
    queue.push_load(load()).unwrap();
    assert_eq!(loads(&queue).0, 1);
    let is_due = Instant::now() + HELD_RETRY;
    while Instant::now() < is_due {
        std::thread::yield_now();
    }
    assert_eq!(writes(&queue).0.updates.len(), 1);
}

#[test]
fn i4_touches_of_a_session_are_written_one_after_another() {
    let queue = queue(10, 10, 2);
    let session = Uuid::now_v7();
    let seen = || {
        let seen = queue
            .push_load(Job::new(SessionKey::new(session), later()).0)
            .unwrap();
        let (_, id) = loads(&queue);
        queue.end(id, HashMap::new());
        seen.map(|seen| (seen.first.timestamp(), seen.last.timestamp()))
    };
    let until = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    queue.push_touch(touch(session, 4, None), until(10));
    let (first, id) = writes(&queue);
    assert_eq!(first.touches[0].now.timestamp(), 4);
    queue.push_touch(touch(session, 8, None), until(14));
    assert_eq!(seen(), Some((4, 8)));
    // Another turn leaves it: its statement would find the row locked by the first.
    queue.push_touch(touch(Uuid::now_v7(), 8, None), until(14));
    assert_eq!(writes(&queue).0.touches.len(), 1);
    assert_eq!(seen(), Some((4, 8)));
    queue.end(id, HashMap::new());
    let (second, id) = writes(&queue);
    assert_eq!(second.touches[0].now.timestamp(), 8);
    assert_eq!(seen(), Some((8, 8)));
    queue.end(id, HashMap::new());
    assert_eq!(seen(), None);
}
