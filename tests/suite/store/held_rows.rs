//! Rows that another transaction has locked: a batch writes the others and reports these as held.

use std::time::{Duration, Instant};

use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket_diesel_sessions::store::{
    NewSession, RotateOutcome, RotateSession, SaveOutcome, SaveSession, SessionStore, TokenHash,
    TouchSession, WriteBatch,
};
use rocket_diesel_sessions::{DieselStore, SessionAdmin, SessionConfig, SessionHandle};
use uuid::Uuid;

use crate::support::altered;
use crate::support::embedded::{client, client_and_clock, get, new_cookie, patient, run};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, metric, wait_for};

fn four_sessions(store: &dyn SessionStore) -> Vec<NewSession> {
    let made: Vec<NewSession> = (0..4).map(|_| new_session(None)).collect();
    store.create(&made).unwrap();
    made
}

fn lock(id: &str) -> String {
    format!("BEGIN; SELECT 1 FROM sessions WHERE id = '{id}' FOR UPDATE")
}

fn save(session: &NewSession, version: i64) -> SaveSession {
    let data = format!("\"{version}\"");
    SaveSession::new(session.session_id, version, data, session.now)
}

fn rotation(session: &NewSession) -> RotateSession {
    let new_session_id = Uuid::now_v7();
    RotateSession {
        session_id: session.session_id,
        new_session_id,
        new_token_hash: TokenHash::of(new_session_id.as_bytes()),
        now: session.now,
    }
}

#[test]
fn i11_a_locked_row_does_not_prevent_other_saves() {
    use SaveOutcome::{Held, Refused, Saved};

    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    let made = four_sessions(&*store);
    // The first batch waits for a quarter of this, and no other batch takes as long.
    let timeout = Duration::from_secs(8);
    let options = altered(database.options(), |options| options.timeout = timeout);
    let store = DieselStore::open(&database.url(), options).unwrap();
    let mut holder = database.connection();
    holder.run(&lock(made[0].id.as_str()));
    let gone = new_session(None);
    let touch = TouchSession::new(made[1].session_id, gone.now);
    let touches = [altered(touch, |touch| touch.expires_at = gone.expires_at)];
    // The second batch skips the locked row at once. A save of another version is refused, whether
    // the row is locked or not.
    let mut took = Vec::new();
    for version in 0..2 {
        let saves = [
            save(&made[0], 0),
            save(&made[1], version),
            save(&made[2], version + 7),
            save(&made[3], version),
            save(&gone, 0),
            save(&made[0], 0),
        ];
        let new = [new_session(None)];
        let start = Instant::now();
        let batch = WriteBatch::new(&new, &saves, &touches);
        let written = store.write(&batch).unwrap();
        took.push(start.elapsed());
        assert_eq!(
            written.saved,
            [Held, Saved, Refused, Saved, Refused, Refused]
        );
        assert_eq!(written.touched, 1);
    }
    let limit = timeout / 4;
    assert!(took[0] >= limit && took[1] < limit, "{took:?}");
    let refused = store.save(&[save(&made[0], 3)]).unwrap();
    assert_eq!(refused, [SaveOutcome::Refused]);
    holder.run("ROLLBACK");
    let saved = store.save(&[save(&made[0], 0)]).unwrap();
    assert_eq!(saved, [SaveOutcome::Saved]);
    assert_eq!(database.sessions(), 6);
}

#[test]
fn i11_a_locked_row_does_not_prevent_other_rotations_and_deletions() {
    use RotateOutcome::{Gone, Held, Rotated};

    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let store = database.store();
    let made = four_sessions(&*store);
    let mut holder = database.connection();
    holder.run(&lock(made[0].id.as_str()));
    let rotations = [&made[0], &made[1], &new_session(None)].map(rotation);
    let outcomes = store.try_rotate(&rotations).unwrap();
    assert_eq!(outcomes, [Held, Rotated, Gone]);
    let mut late = rotation(&made[0]);
    late.now = made[0].expires_at;
    assert_eq!(store.try_rotate(&[late]).unwrap(), [Gone]);

    let ids = [&made[0].id, &made[2].id, &"nobody".into(), &made[0].id].map(SessionHandle::clone);
    let deleted = store.try_delete(&ids).unwrap();
    assert_eq!(deleted.ended, [made[2].id.clone()]);
    assert_eq!(deleted.held, [made[0].id.clone()]);
    holder.run("ROLLBACK");
    let outcomes = store.try_rotate(&rotations).unwrap();
    assert_eq!(outcomes, [Rotated, Gone, Gone]);
    let deleted = store.try_delete(&ids).unwrap();
    assert_eq!(
        (deleted.ended, deleted.held),
        (vec![made[0].id.clone()], vec![])
    );
    assert_eq!(database.sessions(), 2);
}

/// Writes wait for a lock on the table, as during the creation of an index. Reads need not wait.
#[test]
fn i11_touches_waiting_for_a_table_lock_do_not_block_readers() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let config = SessionConfig::default();
        let timeout = config.timeout;
        let (client, clock) = &client_and_clock(database.store(), config).await;
        let mut cookies = Vec::new();
        for _ in 0..256 {
            cookies.push(new_cookie(client).await);
        }
        clock.advance(chrono::TimeDelta::minutes(6));
        let mut holder = database.connection();
        holder.run("BEGIN; LOCK TABLE sessions IN SHARE MODE");
        let start = Instant::now();
        // Long enough for a worker waiting for the lock to be abandoned.
        while start.elapsed() < 3 * timeout {
            let all = cookies
                .iter()
                .map(|cookie| get(client, "/read", Some(cookie)));
            for answer in join_all(all).await {
                assert_eq!(answer.status, Status::Ok);
            }
        }
        holder.run("ROLLBACK");
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        assert_eq!(metric(admin, "sessions_abandoned_total{kind=\"write\"}"), 0);
        assert_eq!(get(client, "/count", None).await.status, Status::Ok);
    });
}

#[test]
fn i1_a_busy_session_whose_row_is_briefly_locked_loses_no_update() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let client = &client(database.store(), patient()).await;
        let cookie = &new_cookie(client).await;
        let mut holder = database.connection();
        holder.run("BEGIN; SELECT 1 FROM sessions FOR UPDATE");
        let all = (0..200).map(|_| get(client, "/count", Some(cookie)));
        let all = join_all(all);
        let release = async {
            let is_waiting = async || database.lock_wait().is_some();
            wait_for("an update waits for the row", is_waiting).await;
            holder.run("ROLLBACK");
        };
        let (answers, ()) = join(all, release).await;
        let mut values: Vec<u64> = answers
            .iter()
            .filter(|answer| answer.status.code == 200)
            .map(|answer| answer.body.parse().unwrap())
            .collect();
        values.sort_unstable();
        let served = values.len();
        values.dedup();
        assert_eq!((served, values.len()), (200, 200));
        assert_eq!(get(client, "/read", Some(cookie)).await.body, "201");
    });
}
