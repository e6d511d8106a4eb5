//! How the statements of a batch name their rows: by the lookup half of the token, and by the handle
//! where it is known.

use crate::store::{RotateSession, SessionHandle, SessionKey};

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

/// Returns the keys whose rows are to be read, so that no row is read twice.
pub(super) fn distinct(keys: &[SessionKey]) -> Vec<&SessionKey> {
    let mut distinct: Vec<&SessionKey> = keys.iter().collect();
    distinct.sort_unstable_by_key(|key| (key.session_id, &key.id));
    // A key without a handle comes first, and means what those with one mean.
    distinct.dedup_by(|next, kept| {
        next.session_id == kept.session_id && (kept.id.is_none() || kept.id == next.id)
    });
    distinct
}
