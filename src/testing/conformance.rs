//! What every [`SessionStore`] must do, as checks that a store's own tests can run.
//!
//! The checks write, sweep and clear: run them on a store that holds nothing of value.
//!
//! # Example
//!
//! ```no_run
//! use rocket_diesel_sessions::DieselStore;
//! use rocket_diesel_sessions::store::StoreOptions;
//! use rocket_diesel_sessions::testing::conformance;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = DieselStore::open(&"sqlite://scratch.db".parse()?, StoreOptions::default())?;
//! store.migrate()?;
//! conformance::run(&store)?;
//! // With two users that exist:
//! conformance::run_with_users(&store, ["ada", "bob"])?;
//! # Ok(())
//! # }
//! ```

mod many;
mod users;
mod withdrawals;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use thiserror::Error;
use uuid::Uuid;

use crate::store::{
    BindSession, LoginSession, NewSession, RotateSession, SaveOutcome, SaveSession, SessionLimit,
    SessionRecord, SessionStore, StoreError, TokenHash, TouchSession, WriteBatch, WriteOutcome,
};

pub use users::run_with_users;

/// How a store fell short.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The store failed where it must not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It did something else than it must.
    #[error("{check}: {seen}")]
    Behaviour {
        /// What must be true.
        check: &'static str,
        /// What was seen instead.
        seen: String,
    },
}

type Checked = Result<(), Violation>;

/// Runs all checks that need no user, in order, up to the first that fails.
///
/// # Errors
/// [`Violation`] names what must be true and is not.
pub fn run(store: &dyn SessionStore) -> Checked {
    const CHECKS: [fn(&dyn SessionStore) -> Checked; 13] = [
        what_is_created_is_loaded,
        a_batch_writes_all_of_its_kinds,
        a_taken_id_refuses_the_whole_batch,
        a_write_needs_the_version_it_was_made_from,
        a_touch_moves_no_deadline_back,
        a_rotation_keeps_all_but_the_token,
        what_has_expired_is_not_changed,
        what_is_gone_stays_gone,
        many::a_list_is_paged_newest_first,
        many::a_sweep_takes_the_expired_alone,
        withdrawals::a_rotation_is_taken_back,
        withdrawals::a_session_that_nobody_got_is_deleted,
        withdrawals::what_is_free_is_rotated_and_deleted,
    ];
    CHECKS.iter().try_for_each(|check| check(store))
}

/// Fails unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(check: &'static str, seen: T, expected: T) -> Checked {
    if seen == expected {
        return Ok(());
    }
    let seen = format!("{seen:?} instead of {expected:?}");
    Err(Violation::Behaviour { check, seen })
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A session created `now`, with a day to be idle and thirty to live.
fn new_session(now: DateTime<Utc>) -> NewSession {
    let session_id = Uuid::now_v7();
    NewSession {
        id: cuid2::create_id(),
        session_id,
        token_hash: TokenHash::of(session_id.as_bytes()),
        user_id: None,
        data: r#"{"text":"Zoë \"quoted\" \\ 👋"}"#.to_owned(),
        expires_at: now + TimeDelta::days(1),
        absolute_expires_at: now + TimeDelta::days(30),
        user_agent: Some("agent".to_owned()),
        ip: None,
        now,
    }
}

fn created(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<SessionRecord, StoreError> {
    let new = new_session(now);
    store.create(std::slice::from_ref(&new))?;
    Ok(new.into_record())
}

fn load(store: &dyn SessionStore, session_id: Uuid) -> Result<Option<SessionRecord>, StoreError> {
    Ok(store.load(&[session_id])?.pop())
}

fn write(record: &SessionRecord, data: &str, now: DateTime<Utc>) -> SaveSession {
    SaveSession {
        session_id: record.session_id,
        version: record.version,
        data: data.to_owned(),
        now,
    }
}

fn touched(record: &SessionRecord, now: DateTime<Utc>, idle: TimeDelta) -> TouchSession {
    TouchSession {
        session_id: record.session_id,
        now,
        expires_at: now + idle,
        user_agent: None,
        ip: Some("::1".to_owned()),
    }
}

fn rotation(record: &SessionRecord, now: DateTime<Utc>) -> RotateSession {
    let new_session_id = Uuid::now_v7();
    RotateSession {
        session_id: record.session_id,
        new_session_id,
        new_token_hash: TokenHash::of(new_session_id.as_bytes()),
        now,
    }
}

/// A login of `user` in this session, or in a new one.
fn login(user: &str, session: Option<&SessionRecord>, now: DateTime<Utc>) -> LoginSession {
    LoginSession {
        user_id: user.to_owned(),
        password_hash: None,
        session: session.map(|record| BindSession {
            id: record.id.clone(),
            session_id: record.session_id,
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
        }),
        fresh: new_session(now),
        limit: SessionLimit::default(),
        deadline: None,
    }
}

fn what_is_created_is_loaded(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "what is created is loaded, and nothing else";
    let now = now();
    let mut made: Vec<_> = (0..3).map(|_| new_session(now)).collect();
    store.create(&made)?;
    let asked = [made[2].session_id, Uuid::now_v7(), made[0].session_id];
    let mut loaded = store.load(&asked)?;
    loaded.sort_by_key(|record| record.session_id);
    made.remove(1);
    let mut expected: Vec<_> = made.into_iter().map(NewSession::into_record).collect();
    expected.sort_by_key(|record| record.session_id);
    same(CHECK, loaded, expected)?;
    same(CHECK, store.load(&[])?, Vec::new())?;
    // By its handle too, expired or not.
    for now in [now, now - TimeDelta::days(2)] {
        let record = created(store, now)?;
        same(CHECK, store.find(&record.id)?, Some(record))?;
    }
    same(CHECK, store.find("nobody")?, None)?;
    store.create(&[])?;
    Ok(())
}

fn a_batch_writes_all_of_its_kinds(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a batch inserts, saves and touches, or does none of it";
    let (now, later) = (now(), now() + TimeDelta::seconds(1));
    let (one, other, new) = (created(store, now)?, created(store, now)?, new_session(now));
    let written = store.write(&WriteBatch {
        creates: std::slice::from_ref(&new),
        saves: &[write(&one, "1", later)],
        touches: &[touched(&other, later, TimeDelta::days(1))],
    })?;
    let expected = WriteOutcome {
        saved: vec![SaveOutcome::Saved],
        touched: 1,
    };
    same(CHECK, written, expected)?;
    let seen =
        |id: Uuid| Ok::<_, StoreError>(load(store, id)?.map(|r| (r.version, r.last_seen_at)));
    same(CHECK, seen(new.session_id)?, Some((0, now)))?;
    same(CHECK, seen(one.session_id)?, Some((1, now)))?;
    same(CHECK, seen(other.session_id)?, Some((0, later)))?;
    let refused = store.write(&WriteBatch {
        creates: std::slice::from_ref(&new),
        saves: &[write(&other, "1", later)],
        touches: &[touched(&one, later, TimeDelta::days(1))],
    });
    same(
        CHECK,
        matches!(refused, Err(StoreError::Constraint(_))),
        true,
    )?;
    same(CHECK, seen(one.session_id)?, Some((1, now)))?;
    same(CHECK, seen(other.session_id)?, Some((0, later)))
}

fn a_taken_id_refuses_the_whole_batch(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a taken id refuses the batch and leaves nothing of it";
    let now = now();
    let taken = created(store, now)?;
    let good = new_session(now);
    let bad = NewSession {
        session_id: taken.session_id,
        ..new_session(now)
    };
    let refused = store.create(&[good.clone(), bad]);
    same(
        CHECK,
        matches!(refused, Err(StoreError::Constraint(_))),
        true,
    )?;
    same(CHECK, load(store, good.session_id)?, None)?;
    same(CHECK, load(store, taken.session_id)?, Some(taken))
}

fn a_write_needs_the_version_it_was_made_from(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a write needs the version it was made from; of several, the first counts";
    let (now, later) = (now(), now() + TimeDelta::seconds(1));
    let (one, other) = (created(store, now)?, created(store, now)?);
    let outcomes = store.save(&[
        write(&one, "1", later),
        write(&other, "2", later),
        write(&one, "3", later),
    ])?;
    let expected = [SaveOutcome::Saved, SaveOutcome::Saved, SaveOutcome::Refused];
    same(CHECK, outcomes.as_slice(), expected.as_slice())?;
    let expected = SessionRecord {
        data: "1".to_owned(),
        version: 1,
        updated_at: later,
        ..one.clone()
    };
    same(CHECK, load(store, one.session_id)?, Some(expected))?;
    let stale = store.save(&[write(&one, "4", later)])?;
    same(CHECK, stale, vec![SaveOutcome::Refused])
}

fn a_touch_moves_no_deadline_back(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a touch moves no deadline back, nor past the absolute one";
    let start = now();
    let record = created(store, start)?;
    let later = start + TimeDelta::hours(2);
    let day = TimeDelta::days(1);
    let none = Uuid::now_v7();
    let stranger = SessionRecord {
        session_id: none,
        ..record.clone()
    };
    let count = store.touch(&[touched(&record, later, day), touched(&stranger, later, day)])?;
    same(CHECK, count, 1)?;
    // Late in coming, and from an instance with a shorter idle timeout.
    store.touch(&[touched(
        &record,
        start + TimeDelta::hours(1),
        TimeDelta::hours(1),
    )])?;
    let mut expected = SessionRecord {
        last_seen_at: later,
        expires_at: later + day,
        ip: Some("::1".to_owned()),
        ..record.clone()
    };
    same(
        CHECK,
        load(store, record.session_id)?,
        Some(expected.clone()),
    )?;
    store.touch(&[touched(&record, later, TimeDelta::days(90))])?;
    expected.expires_at = record.absolute_expires_at;
    same(CHECK, load(store, record.session_id)?, Some(expected))
}

fn a_rotation_keeps_all_but_the_token(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a rotation keeps all but the token, and the old token finds nothing";
    let now = now();
    let record = created(store, now)?;
    let rotation = rotation(&record, now);
    let again = RotateSession {
        new_session_id: Uuid::now_v7(),
        ..rotation.clone()
    };
    let rotated = store.rotate(&[rotation.clone(), again])?;
    same(CHECK, rotated, vec![true, false])?;
    same(CHECK, load(store, record.session_id)?, None)?;
    let refused = store.save(&[write(&record, "1", now)])?;
    same(CHECK, refused, vec![SaveOutcome::Refused])?;
    let expected = SessionRecord {
        session_id: rotation.new_session_id,
        token_hash: rotation.new_token_hash,
        ..record
    };
    same(CHECK, load(store, expected.session_id)?, Some(expected))
}

fn what_has_expired_is_not_changed(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a session is not written, touched or rotated from its deadline on";
    let record = created(store, now())?;
    let deadline = record.expires_at;
    let saved = store.save(&[write(&record, "1", deadline)])?;
    same(CHECK, saved, vec![SaveOutcome::Refused])?;
    let touches = [touched(&record, deadline, TimeDelta::days(1))];
    same(CHECK, store.touch(&touches)?, 0)?;
    let rotated = store.rotate(&[rotation(&record, deadline)])?;
    same(CHECK, rotated, vec![false])?;
    let before = deadline - TimeDelta::microseconds(1);
    let saved = store.save(&[write(&record, "1", before)])?;
    same(CHECK, saved, vec![SaveOutcome::Saved])
}

fn what_is_gone_stays_gone(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a session that is gone is not written, touched, rotated or made again";
    let now = now();
    let (record, kept) = (created(store, now)?, created(store, now)?);
    let ids = [record.id.clone(), "nobody".to_owned()];
    same(CHECK, store.delete(&ids)?, vec![record.id.clone()])?;
    same(CHECK, store.delete(&ids)?, Vec::new())?;
    let saved = store.save(&[write(&record, "1", now)])?;
    same(CHECK, saved, vec![SaveOutcome::Refused])?;
    let touches = [touched(&record, now, TimeDelta::days(1))];
    same(CHECK, store.touch(&touches)?, 0)?;
    let rotated = store.rotate(&[rotation(&record, now)])?;
    same(CHECK, rotated, vec![false])?;
    same(CHECK, load(store, record.session_id)?, None)?;
    same(CHECK, store.find(&record.id)?, None)?;
    same(CHECK, load(store, kept.session_id)?, Some(kept))
}
