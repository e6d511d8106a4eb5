//! How the statements of a batch name their rows: by the lookup half of the token, and by the handle
//! where it is known.

use std::collections::HashSet;

use uuid::Uuid;

use crate::store::{RotateSession, SessionHandle};

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

/// Returns the items that may be sent in one statement, and for each item whether it is among them.
/// A row that is joined twice would be updated once, with either value.
pub(super) fn first_of_each_session<T>(
    items: &[T],
    session_id: impl Fn(&T) -> Uuid,
) -> (Vec<&T>, Vec<bool>) {
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = items
        .iter()
        .map(|item| seen.insert(session_id(item)))
        .collect();
    let mut first: Vec<&T> = items
        .iter()
        .zip(&is_first)
        .filter_map(|(item, first)| first.then_some(item))
        .collect();
    first.sort_unstable_by_key(|item| session_id(item));
    (first, is_first)
}
