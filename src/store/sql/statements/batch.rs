//! The items of a batch that one statement over arrays takes.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use uuid::Uuid;

use super::keyed::KeyedRotation;
use crate::store::{SaveSession, SessionHandle, TouchSession, WriteBatch, WriteOutcome};

/// Runs a batch in a transaction, unless it has only one kind of write and so only one statement.
pub(super) fn atomically(
    connection: &mut PgConnection,
    batch: &WriteBatch<'_>,
    write: impl FnOnce(&mut PgConnection) -> QueryResult<WriteOutcome>,
) -> QueryResult<WriteOutcome> {
    if batch.is_of_one_kind() {
        write(connection)
    } else {
        connection.transaction(write)
    }
}

/// What names its row by the lookup half, and by the handle where it is known.
pub(super) trait Keyed {
    fn session_id(&self) -> Uuid;

    fn id(&self) -> Option<&SessionHandle>;
}

/// An item with the handle of its session.
pub(super) type Named<'i, T> = (SessionHandle, &'i T);

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

/// The lookup halves of the sessions that a batch changed, with true, and of those whose rows were
/// locked, with false.
pub(super) type Changed = HashMap<String, bool>;

/// Returns the outcome of each item of a batch: one for sessions that were changed, one for locked
/// rows, and one for the others.
pub(super) fn outcomes<T: Keyed, O: Copy>(
    items: &[T],
    is_first: &[bool],
    changed: &Changed,
    [done, held, missed]: [O; 3],
) -> Vec<O> {
    let outcome = |(item, is_first): (&T, &bool)| {
        let changed = changed.get(&item.session_id().to_string());
        match changed.filter(|_| *is_first) {
            Some(true) => done,
            Some(false) => held,
            None => missed,
        }
    };
    items.iter().zip(is_first).map(outcome).collect()
}
