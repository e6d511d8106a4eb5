//! Changes the rows of a batch that no other transaction has locked, on engines whose statements
//! cannot skip locked rows.

use std::collections::VecDeque;
use std::ops::Range;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::store::sql::error::is_lock_timeout;
use crate::store::sql::statements::postgres::SHORT_WAIT;

/// Maximum number of times that a batch waits for a lock, each a short time.
const WAITS: usize = 32;

/// What became of the items of a batch.
pub(super) struct Outcomes<O> {
    /// The parts that were done, with what their statements returned.
    pub(super) done: Vec<(Range<usize>, O)>,
    /// The parts with locked rows, and those that were not tried because others had taken too long.
    pub(super) left: Vec<Range<usize>>,
    /// Whether some were not tried.
    pub(super) is_cut_short: bool,
}

/// Runs a statement for all items. If a row of it is locked, it is run for the halves, then for their
/// halves, and so on.
pub(super) fn around<T, O>(
    connection: &mut PgConnection,
    items: &[T],
    mut run: impl FnMut(&mut PgConnection, &[T]) -> QueryResult<O>,
) -> QueryResult<Outcomes<O>> {
    let (mut done, mut left) = (Vec::new(), Vec::new());
    let mut waits = 0;
    let mut parts = VecDeque::new();
    parts.push_back(0..items.len());
    while waits < WAITS
        && let Some(part) = parts.pop_front()
    {
        let result = connection.transaction(|connection| {
            connection.batch_execute(SHORT_WAIT)?;
            run(connection, &items[part.clone()])
        });
        match result {
            Ok(outcome) => done.push((part, outcome)),
            Err(error) if is_lock_timeout(&error) => {
                waits += 1;
                if part.len() > 1 {
                    let middle = part.start + part.len() / 2;
                    parts.extend([part.start..middle, middle..part.end]);
                } else {
                    left.push(part);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let is_cut_short = !parts.is_empty();
    left.extend(parts);
    Ok(Outcomes {
        done,
        left,
        is_cut_short,
    })
}

/// Runs a statement that returns an outcome for each item. The outcome of locked rows is `held`.
pub(super) fn each<T, O: Clone>(
    connection: &mut PgConnection,
    items: &[T],
    held: &O,
    run: impl FnMut(&mut PgConnection, &[T]) -> QueryResult<Vec<O>>,
) -> QueryResult<Vec<O>> {
    let mut outcomes = vec![held.clone(); items.len()];
    for (part, done) in around(connection, items, run)?.done {
        outcomes[part].clone_from_slice(&done);
    }
    Ok(outcomes)
}
