//! Checks of withdrawals, which undo the issue of tokens that never reached their visitors.

use chrono::TimeDelta;

use super::{Checked, created, load, login, now, rotation, same};
use crate::store::{DeleteOutcome, RotateOutcome, SessionRecord, SessionStore, Withdrawal};

/// Returns the withdrawal of the token of `new`, which replaced that of `previous`.
fn withdrawal(new: &SessionRecord, previous: Option<&SessionRecord>) -> Withdrawal {
    Withdrawal {
        id: new.id.clone(),
        session_id: new.session_id,
        previous: previous.cloned().map(Box::new),
        is_rotation: false,
    }
}

pub(super) fn a_rotation_can_be_withdrawn(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a withdrawal restores the former token only while the row has the new one";
    let now = now();
    let (record, kept) = (created(store, now)?, created(store, now)?);
    let rotation = rotation(&record, now);
    store.rotate(std::slice::from_ref(&rotation))?;
    let new = SessionRecord {
        session_id: rotation.new_session_id,
        ..record.clone()
    };
    // The record as an instance with stricter settings sees it. Its deadlines must not be stored.
    let seen = SessionRecord {
        expires_at: now,
        absolute_expires_at: now,
        ..record.clone()
    };
    let back = Withdrawal {
        is_rotation: true,
        ..withdrawal(&new, Some(&seen))
    };
    let not_its = withdrawal(&kept, None);
    let not_its = Withdrawal {
        session_id: new.session_id,
        ..not_its
    };
    let done = store.withdraw(&[back.clone(), not_its, back], now)?;
    same(CHECK, done, vec![true, false, false])?;
    same(CHECK, load(store, rotation.new_session_id)?, None)?;
    same(CHECK, load(store, record.session_id)?, Some(record))?;
    same(CHECK, load(store, kept.session_id)?, Some(kept))
}

pub(super) fn withdrawing_a_creation_deletes_the_session(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "withdrawing the token of a new session deletes the session";
    let now = now();
    let record = created(store, now)?;
    let back = withdrawal(&record, None);
    same(
        CHECK,
        store.withdraw(std::slice::from_ref(&back), now)?,
        vec![true],
    )?;
    same(CHECK, store.find(&record.id)?, None)?;
    same(CHECK, store.withdraw(&[back], now)?, vec![false])?;
    same(CHECK, store.withdraw(&[], now)?, Vec::new())
}

pub(super) fn unlocked_rows_are_rotated_and_deleted(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "unlocked rows are rotated and deleted";
    let now = now();
    let (record, gone) = (created(store, now)?, created(store, now)?);
    store.delete(std::slice::from_ref(&gone.id))?;
    let first = rotation(&record, now);
    let outcomes = store.try_rotate(&[first.clone(), rotation(&gone, now)])?;
    same(
        CHECK,
        outcomes,
        vec![RotateOutcome::Rotated, RotateOutcome::Gone],
    )?;
    let moved = SessionRecord {
        session_id: first.new_session_id,
        ..record.clone()
    };
    let again = [
        (record.id.clone(), rotation(&moved, now)),
        (gone.id.clone(), rotation(&gone, now)),
    ];
    same(
        CHECK,
        store.rotate_by_key(&again)?,
        vec![RotateOutcome::Rotated, RotateOutcome::Gone],
    )?;
    let deleted = store.try_delete(&[record.id.clone(), gone.id])?;
    let expected = DeleteOutcome {
        ended: vec![record.id],
        held: Vec::new(),
    };
    same(CHECK, deleted, expected)
}

pub(super) fn a_login_can_be_withdrawn(store: &dyn SessionStore, [user, _]: [&str; 2]) -> Checked {
    const CHECK: &str = "after a first login is withdrawn, no session belongs to the user";
    let now = now();
    let record = created(store, now)?;
    let request = login(user, Some(&record), now);
    store.login(&request)?;
    let new = SessionRecord {
        session_id: request.fresh.session_id,
        ..record.clone()
    };
    let done = store.withdraw(&[withdrawal(&new, Some(&record))], now)?;
    same(CHECK, done, vec![true])?;
    same(CHECK, load(store, new.session_id)?, None)?;
    // A store that relies on the default `withdraw` ends the session instead.
    let user_id = load(store, record.session_id)?.and_then(|record| record.user_id);
    same(CHECK, user_id, None)
}

pub(super) fn a_login_starts_a_new_absolute_lifetime(
    store: &dyn SessionStore,
    [user, _]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a login moves the absolute deadline only forward";
    let now = now();
    let mut record = created(store, now)?;
    let later = record.absolute_expires_at + TimeDelta::days(1);
    for asked_for in [later, now + TimeDelta::days(1)] {
        let mut request = login(user, Some(&record), now);
        if let Some(session) = &mut request.session {
            session.absolute_expires_at = asked_for;
        }
        store.login(&request)?;
        record.session_id = request.fresh.session_id;
        let absolute = load(store, record.session_id)?.map(|record| record.absolute_expires_at);
        same(CHECK, absolute, Some(later))?;
    }
    Ok(())
}
