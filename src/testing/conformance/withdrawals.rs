//! What a store must do about tokens that never reached their visitors: take them back.

use chrono::TimeDelta;

use super::{Checked, created, load, login, now, rotation, same};
use crate::store::{DeleteOutcome, RotateOutcome, SessionRecord, SessionStore, Withdrawal};

/// Takes back the token of `new`, which had been `previous`.
fn withdrawal(new: &SessionRecord, previous: Option<&SessionRecord>) -> Withdrawal {
    Withdrawal {
        id: new.id.clone(),
        session_id: new.session_id,
        previous: previous.cloned().map(Box::new),
        is_rotation: false,
    }
}

pub(super) fn a_rotation_is_taken_back(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a withdrawal restores the former token while the new one is the row's";
    let now = now();
    let (record, kept) = (created(store, now)?, created(store, now)?);
    let rotation = rotation(&record, now);
    store.rotate(std::slice::from_ref(&rotation))?;
    let new = SessionRecord {
        session_id: rotation.new_session_id,
        ..record.clone()
    };
    // As a stricter instance sees it, whose deadlines are not to be stored.
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

pub(super) fn a_session_that_nobody_got_is_deleted(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a withdrawal deletes a session that was made with the token";
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

pub(super) fn what_is_free_is_rotated_and_deleted(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "where no row is held, all that is there is rotated and deleted";
    let now = now();
    let (record, gone) = (created(store, now)?, created(store, now)?);
    store.delete(std::slice::from_ref(&gone.id))?;
    let outcomes = store.try_rotate(&[rotation(&record, now), rotation(&gone, now)])?;
    same(
        CHECK,
        outcomes,
        vec![RotateOutcome::Rotated, RotateOutcome::Gone],
    )?;
    let deleted = store.try_delete(&[record.id.clone(), gone.id])?;
    let expected = DeleteOutcome {
        ended: vec![record.id],
        held: Vec::new(),
    };
    same(CHECK, deleted, expected)
}

pub(super) fn a_login_is_taken_back(store: &dyn SessionStore, [user, _]: [&str; 2]) -> Checked {
    const CHECK: &str = "a first login that is taken back leaves nothing of the user signed in";
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
    // A store without a `withdraw` of its own ends the session.
    let user_id = load(store, record.session_id)?.and_then(|record| record.user_id);
    same(CHECK, user_id, None)
}

pub(super) fn a_login_starts_a_new_absolute_lifetime(
    store: &dyn SessionStore,
    [user, _]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a login moves the absolute deadline forward, never back";
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
