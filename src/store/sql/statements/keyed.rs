//! How the statements of a batch name their rows: by the lookup half of the token, and by the handle
//! where it is known.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::store::{RotateSession, SessionHandle, SessionKey, SessionRecord};

/// A rotation, and the handle of its session if it is known.
pub(in crate::store) struct KeyedRotation<'r> {
    pub(in crate::store) id: Option<&'r SessionHandle>,
    pub(in crate::store) rotation: &'r RotateSession,
}

impl<'r> From<&'r RotateSession> for KeyedRotation<'r> {
    fn from(rotation: &'r RotateSession) -> Self {
        Self { id: None, rotation }
    }
}

impl<'r> From<&'r (SessionHandle, RotateSession)> for KeyedRotation<'r> {
    fn from((id, rotation): &'r (SessionHandle, RotateSession)) -> Self {
        let id = Some(id);
        Self { id, rotation }
    }
}

/// Returns the lookup halves of the rows to read, so that no row is read twice.
pub(super) fn distinct(keys: &[SessionKey]) -> BTreeSet<Uuid> {
    keys.iter().map(|key| key.session_id).collect()
}

/// Keeps the sessions that the keys name. Statements may look at the lookup halves alone.
pub(in crate::store) fn keep_named(records: &mut Vec<SessionRecord>, keys: &[SessionKey]) {
    let is_named = |record: &SessionRecord, key: &SessionKey| {
        key.session_id == record.session_id && key.id.as_ref().is_none_or(|id| *id == record.id)
    };
    // The usual keys are sorted.
    if keys.is_sorted_by_key(|key| key.session_id) {
        records.retain(|record| {
            let first = keys.partition_point(|key| key.session_id < record.session_id);
            let of_session = keys[first..].iter();
            of_session
                .take_while(|key| key.session_id == record.session_id)
                .any(|key| is_named(record, key))
        });
    } else {
        records.retain(|record| keys.iter().any(|key| is_named(record, key)));
    }
}
