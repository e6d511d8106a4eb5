//! Batches that are run again in parts, so that one row the database refuses fails by itself.

use std::time::Instant;

use super::breaker::is_reported;
use super::job::Job;
use crate::session::error::SessionError;
use crate::store::StoreError;

/// Work for one call of the store that can be done in parts.
pub(super) trait Batch: Sized {
    fn len(&self) -> usize;

    /// Both halves, each smaller than the whole if that has two items or more.
    fn halves(self) -> (Self, Self);
}

impl<W, T> Batch for Vec<Job<W, T>> {
    fn len(&self) -> usize {
        self.len()
    }

    fn halves(mut self) -> (Self, Self) {
        let second = self.split_off(self.len() / 2);
        (self, second)
    }
}

/// A part of a batch that failed, and why.
type Failed<B> = (B, StoreError);

/// What [`isolate`] did not get done.
pub(super) struct Failures<B> {
    /// Items that failed by themselves.
    pub(super) singles: Vec<Failed<B>>,
    /// What was not tried any more, because the database itself is at fault.
    pub(super) rest: Option<(Vec<B>, SessionError)>,
}

impl<B> Failures<B> {
    /// The failures of writes, where a row is refused.
    pub(super) fn refused(mut self) -> Self {
        let singles = self.singles.into_iter();
        self.singles = singles
            .map(|(batch, error)| (batch, refusal(error, false)))
            .collect();
        self
    }
}

/// Calls the store with the whole batch, and with ever smaller parts of what it refuses: one bad row
/// of `n` costs `2 log n` calls. `prepare` may drop items that need not be done any more.
pub(super) fn isolate<B: Batch, T>(
    batch: B,
    verb: &str,
    mut prepare: impl FnMut(B, Instant) -> B,
    mut call: impl FnMut(&mut B) -> Result<T, StoreError>,
    mut done: impl FnMut(B, T),
) -> Failures<B> {
    let mut parts = vec![batch];
    let mut singles = Vec::new();
    while let Some(part) = parts.pop() {
        let mut part = prepare(part, Instant::now());
        if part.len() == 0 {
            continue;
        }
        match call(&mut part) {
            Ok(result) => done(part, result),
            Err(error) if is_divisible(&error) && part.len() > 1 => {
                tracing::debug!("{verb} of {}: {error}", part.len());
                let (first, second) = part.halves();
                parts.extend([second, first]);
            }
            Err(error) if is_divisible(&error) => {
                tracing::warn!("{verb}: {error}");
                singles.push((part, error));
            }
            Err(error) => {
                report(verb, &error);
                parts.push(part);
                let rest = Some((parts, error.into()));
                return Failures { singles, rest };
            }
        }
    }
    let rest = None;
    Failures { singles, rest }
}

/// Logs why a call failed. What the breaker reports is at level debug, since all calls fail then.
pub(super) fn report(verb: &str, error: &StoreError) {
    if is_reported(error) {
        tracing::debug!("{verb}: {error}");
    } else {
        tracing::warn!("{verb}: {error}");
    }
}

/// Returns whether a part of the batch may succeed where the whole failed with `error`. Nothing was
/// written then.
fn is_divisible(error: &StoreError) -> bool {
    error.is_of_statement() || matches!(error, StoreError::Serialization(_))
}

/// A statement for one row that fails for no reason which concerns others, or beside others that were
/// written, is refused because of its row: trying again does not help. Where there is no more room, it does.
pub(super) fn refusal(error: StoreError, is_written: bool) -> StoreError {
    match error {
        StoreError::Query(cause) => StoreError::Refused(cause),
        StoreError::Server(cause) if is_written => StoreError::Refused(cause),
        other => other,
    }
}
