//! The items of a batch that one statement over arrays takes.

use std::collections::HashSet;

use uuid::Uuid;

use super::keyed::KeyedRotation;
use crate::store::{SaveSession, SessionHandle, TouchSession};

/// What names its row by the lookup half, and by the handle where it is known.
pub(super) trait Keyed {
    fn session_id(&self) -> Uuid;

    fn id(&self) -> Option<&SessionHandle>;
}

impl Keyed for SaveSession {
    fn session_id(&self) -> Uuid {
        self.session_id
    }

    fn id(&self) -> Option<&SessionHandle> {
        self.id.as_ref()
    }
}

impl Keyed for TouchSession {
    fn session_id(&self) -> Uuid {
        self.session_id
    }

    fn id(&self) -> Option<&SessionHandle> {
        self.id.as_ref()
    }
}

impl Keyed for KeyedRotation<'_> {
    fn session_id(&self) -> Uuid {
        self.rotation.session_id
    }

    fn id(&self) -> Option<&SessionHandle> {
        self.id
    }
}

/// Returns the items that may be sent in one statement, and for each item whether it is among them.
/// A row that is joined twice would be updated once, with either value.
pub(super) fn first_of_each_session<T: Keyed>(items: &[T]) -> (Vec<&T>, Vec<bool>) {
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = items
        .iter()
        .map(|item| seen.insert(item.session_id()))
        .collect();
    let mut first: Vec<&T> = items
        .iter()
        .zip(&is_first)
        .filter_map(|(item, first)| first.then_some(item))
        .collect();
    first.sort_unstable_by_key(|item| item.session_id());
    (first, is_first)
}
