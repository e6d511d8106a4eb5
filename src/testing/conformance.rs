//! Checks of what every [`SessionStore`] must do, to be run by a store's own tests.
//!
//! The checks write, sweep and clear, so run them only on a store without valuable data.
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
mod scans;
mod user_changes;
mod user_search;
mod users;
mod withdrawals;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use thiserror::Error;
use uuid::Uuid;

use super::sessions;
use crate::store::{
    BindSession, LoginSession, NewSession, RotateSession, SaveOutcome, SaveSession, SessionKey,
    SessionLimit, SessionRecord, SessionStore, StoreError, TokenHash, TouchSession, WriteBatch,
    WriteOutcome,
};

pub use user_changes::run_user_changes;
pub use user_search::run_user_search;
pub use users::{run_with_external_users, run_with_users};

/// A failed check.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The store returned an error where it must not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not do what the check requires.
    #[error("{check}: {seen}")]
    Behaviour {
        /// What the check requires.
        check: &'static str,
        /// What the store did instead.
        seen: String,
    },
}

type Checked = Result<(), Violation>;

/// Runs all checks that need no user, in order, up to the first failure.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::testing::{MemoryStore, conformance};
///
/// // In a test, for a store of your own:
/// conformance::run(&MemoryStore::default()).unwrap();
/// ```
///
/// # Errors
/// Returns a [`Violation`] that names the failed check.
pub fn run(store: &dyn SessionStore) -> Checked {
    const CHECKS: [fn(&dyn SessionStore) -> Checked; 15] = [
        created_sessions_are_loaded,
        a_batch_inserts_saves_and_touches,
        a_taken_id_refuses_the_whole_batch,
        a_save_needs_the_version_it_was_made_from,
        a_touch_never_moves_a_deadline_back,
        a_rotation_changes_only_the_token,
        expired_sessions_are_not_changed,
        deleted_sessions_stay_deleted,
        many::live_sessions_are_found,
        many::a_list_is_paged_newest_first,
        many::a_sweep_deletes_only_expired_sessions,
        scans::scans_meet_all_live_sessions_in_order,
        withdrawals::a_rotation_can_be_withdrawn,
        withdrawals::withdrawing_a_creation_deletes_the_session,
        withdrawals::unlocked_rows_are_rotated_and_deleted,
    ];
    CHECKS.iter().try_for_each(|check| check(store))
}

/// Fails unless both values are equal.
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

/// Returns a session with data that a store could garble.
fn new_session(now: DateTime<Utc>) -> NewSession {
    NewSession {
        data: r#"{"text":"Zoë \"quoted\" \\ 👋"}"#.to_owned(),
        user_agent: Some("agent".to_owned()),
        ..sessions::new_session(now)
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
        id: Some(record.id.clone()),
        version: record.version,
        data: data.to_owned(),
        now,
    }
}

fn touched(record: &SessionRecord, now: DateTime<Utc>, idle: TimeDelta) -> TouchSession {
    TouchSession {
        session_id: record.session_id,
        id: Some(record.id.clone()),
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

/// Returns a login of `user` into this session, or into a new one.
fn login(user: &str, session: Option<&SessionRecord>, now: DateTime<Utc>) -> LoginSession {
    LoginSession {
        user_id: user.into(),
        password_hash: None,
        session: session.map(|record| BindSession {
            id: record.id.clone(),
            session_id: record.session_id,
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
            is_exact: false,
        }),
        fresh: new_session(now),
        limit: SessionLimit::default(),
        deadline: None,
    }
}

fn created_sessions_are_loaded(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "created sessions, and no others, are loaded, each once";
    let now = now();
    let mut made: Vec<_> = (0..3).map(|_| new_session(now)).collect();
    store.create(&made)?;
    let (first, last) = (made[0].session_id, made[2].session_id);
    let asked = [last, Uuid::now_v7(), first, last];
    let mut loaded = store.load(&asked)?;
    loaded.sort_by_key(|record| record.session_id);
    made.remove(1);
    let mut expected: Vec<_> = made.into_iter().map(NewSession::into_record).collect();
    expected.sort_by_key(|record| record.session_id);
    same(CHECK, loaded, expected)?;
    same(CHECK, store.load(&[])?, Vec::new())?;
    // A session is also named by both its names, and not by one of its own and another's.
    let (record, other) = (created(store, now)?, created(store, now)?);
    let key = |id: Option<&SessionRecord>| SessionKey {
        session_id: record.session_id,
        id: id.map(|it| it.id.clone()),
    };
    for known in [None, Some(&record)] {
        same(
            CHECK,
            store.load_by_key(&[key(known)])?,
            vec![record.clone()],
        )?;
    }
    let both = [SessionKey::new(other.session_id), key(Some(&record))];
    same(CHECK, store.load_by_key(&both)?.len(), 2)?;
    same(CHECK, store.load_by_key(&[key(Some(&other))])?, Vec::new())?;
    let mixed = [key(Some(&other)), SessionKey::new(other.session_id)];
    same(CHECK, store.load_by_key(&mixed)?, vec![other])?;
    // `find` returns a session by its handle, even if it has expired.
    for now in [now, now - TimeDelta::days(2)] {
        let record = created(store, now)?;
        same(CHECK, store.find(&record.id)?, Some(record))?;
    }
    same(CHECK, store.find(&"nobody".into())?, None)?;
    store.create(&[])?;
    Ok(())
}

fn a_batch_inserts_saves_and_touches(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a batch inserts, saves and touches, all or nothing";
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
    const CHECK: &str = "an id that is taken refuses the whole batch";
    let now = now();
    let taken = created(store, now)?;
    let good = new_session(now);
    let bad = NewSession {
        id: taken.id.clone(),
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

fn a_save_needs_the_version_it_was_made_from(store: &dyn SessionStore) -> Checked {
    const CHECK: &str =
        "a save needs the version it was made from, so only the first of several succeeds";
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

fn a_touch_never_moves_a_deadline_back(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a touch never moves a deadline back, nor past the absolute one";
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
    // A touch that arrives late, from an instance with a shorter idle timeout.
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

fn a_rotation_changes_only_the_token(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a rotation changes only the token, and the old token finds nothing";
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

fn expired_sessions_are_not_changed(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a session is not written, touched or rotated at or after its deadline";
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

fn deleted_sessions_stay_deleted(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a deleted session is not written, touched, rotated or re-created";
    let now = now();
    let (record, kept) = (created(store, now)?, created(store, now)?);
    let ids = [record.id.clone(), "nobody".into()];
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
