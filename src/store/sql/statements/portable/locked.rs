//! Changes the rows of a batch that no other transaction has locked, on engines whose statements
//! cannot skip locked rows.
//!
//! Each locked row costs a short wait. Rows that were met locked a moment ago are therefore apart
//! from the others, and only a few of them are tried per batch.

use std::collections::VecDeque;
use std::slice::from_ref;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::store::SessionHandle;
use crate::store::sql::error::is_lock_timeout;
use crate::store::sql::run::contention::{Contention, HeldRows};
use crate::store::sql::statements::batch::{Changed, Keyed, Named};
use crate::store::sql::statements::postgres::SHORT_WAIT;

/// Maximum number of waits for a batch to find its locked rows.
const WAITS: usize = 32;

/// How many parts a batch is divided into. With fewer, many locked rows would cost more waits, and
/// with more, a single one would cost more statements.
const PARTS: usize = 8;

/// Maximum number of waits for rows that were locked a moment ago.
const WAITS_AGAIN: usize = 4;

/// An item with the handle of its session.
pub(super) trait Handle {
    fn handle(&self) -> &SessionHandle;
}

impl Handle for SessionHandle {
    fn handle(&self) -> &SessionHandle {
        self
    }
}

impl<T> Handle for Named<'_, T> {
    fn handle(&self) -> &SessionHandle {
        &self.0
    }
}

/// What became of the items of a batch.
pub(super) struct Outcomes<T, O> {
    /// What the statements returned.
    pub(super) done: Vec<O>,
    /// The items with locked rows, and those that were not tried because others had taken too long.
    pub(super) left: Vec<T>,
    /// Whether some were not tried although their rows may be free.
    pub(super) is_cut_short: bool,
}

/// Runs a statement for all items. If a row of it is locked, it is run for parts of them, then for
/// parts of these, and so on. The items are reordered.
pub(super) fn around<T: Handle + Clone, O>(
    connection: &mut PgConnection,
    items: &mut [T],
    contention: &Contention,
    mut run: impl FnMut(&mut PgConnection, &[T]) -> QueryResult<O>,
) -> QueryResult<Outcomes<T, O>> {
    // Of those that were locked, the longest untried are first.
    items.sort_by_cached_key(|item| contention.held_at(item.handle()));
    let is_free = |item: &T| contention.held_at(item.handle()).is_none();
    let (free, suspects) = items.split_at(items.partition_point(is_free));
    let (mut done, mut left) = (Vec::new(), Vec::new());
    let mut waits = 0;
    let mut parts: VecDeque<&[T]> = VecDeque::new();
    parts.extend((!free.is_empty()).then_some(free));
    while waits < WAITS
        && let Some(part) = parts.pop_front()
    {
        if let Some(outcome) = attempt(connection, part, &mut run)? {
            done.push(outcome);
            continue;
        }
        waits += 1;
        if let [item] = part {
            contention.record_held(item.handle());
            left.push(item.clone());
        } else {
            parts.extend(part.chunks(part.len().div_ceil(PARTS)));
        }
    }
    let is_cut_short = !parts.is_empty();
    left.extend(parts.into_iter().flatten().cloned());
    let mut waits = 0;
    for item in suspects {
        if waits == WAITS_AGAIN {
            left.push(item.clone());
        } else if let Some(outcome) = attempt(connection, from_ref(item), &mut run)? {
            contention.record_free(item.handle());
            done.push(outcome);
        } else {
            waits += 1;
            contention.record_held(item.handle());
            left.push(item.clone());
        }
    }
    Ok(Outcomes {
        done,
        left,
        is_cut_short,
    })
}

/// Runs a statement for some items. Returns `None`, and has changed nothing, if one of their rows is
/// locked.
fn attempt<T, O>(
    connection: &mut PgConnection,
    items: &[T],
    run: &mut impl FnMut(&mut PgConnection, &[T]) -> QueryResult<O>,
) -> QueryResult<Option<O>> {
    let result = connection.transaction(|connection| {
        connection.batch_execute(SHORT_WAIT)?;
        run(connection, items)
    });
    match result {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) if is_lock_timeout(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs a statement that yields the lookup halves of the sessions that it changed.
pub(super) fn changed<'i, T: Keyed>(
    connection: &mut PgConnection,
    items: &mut [Named<'i, T>],
    held_rows: HeldRows<'_>,
    mut run: impl FnMut(&mut PgConnection, &[Named<'i, T>]) -> QueryResult<Vec<String>>,
) -> QueryResult<Changed> {
    let contention = match held_rows {
        HeldRows::Wait => {
            let changed = run(connection, items)?;
            return Ok(changed.into_iter().map(|id| (id, true)).collect());
        }
        HeldRows::Skip(contention) => contention,
    };
    let outcomes = around(connection, items, contention, run)?;
    let done = outcomes.done.into_iter().flatten();
    let left = outcomes.left.into_iter();
    let locked = left.map(|(_, item)| (item.session_id().to_string(), false));
    Ok(done.map(|id| (id, true)).chain(locked).collect())
}
