//! Repeats failed batches in parts, so that a row that the database refuses fails alone.

use std::time::Instant;

use crate::session::error::SessionError;
use crate::session::pipeline::breaker::is_reported;
use crate::session::pipeline::job::Job;
use crate::store::StoreError;

/// The work of one call of the store, which can be divided.
pub(in crate::session::pipeline) trait Batch: Sized {
    fn len(&self) -> usize;

    /// Splits the work into halves. Each is smaller than the whole if that has two items or more.
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

/// A part of a batch that failed, and the error.
type Failed<B> = (B, StoreError);

/// The parts of a batch that [`isolate`] could not get done.
pub(in crate::session::pipeline) struct Failures<B> {
    /// Single items that failed.
    pub(in crate::session::pipeline) singles: Vec<Failed<B>>,
    /// Parts that were no longer tried, because the database itself is at fault.
    pub(in crate::session::pipeline) rest: Option<(Vec<B>, SessionError)>,
}

impl<B> Failures<B> {
    /// Returns the failures of writes, with the errors of single items turned into refusals of
    /// their rows.
    pub(in crate::session::pipeline) fn refused(mut self) -> Self {
        let singles = self.singles.into_iter();
        self.singles = singles
            .map(|(batch, error)| (batch, refusal(error, false)))
            .collect();
        self
    }
}

/// Calls the store with the whole batch, and then with ever smaller parts of it if that fails: one
/// bad row of `n` costs `2 log n` calls. `prepare` may drop items that need not be done any more.
pub(in crate::session::pipeline) fn isolate<B: Batch, T>(
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

/// Logs a failed call. Failures that the breaker logs are at level debug, because all calls fail
/// then.
pub(in crate::session::pipeline) fn report(verb: &str, error: &StoreError) {
    if is_reported(error) {
        tracing::debug!("{verb}: {error}");
    } else {
        tracing::warn!("{verb}: {error}");
    }
}

/// Returns whether a part of the batch may succeed after the whole failed with `error`. Such an
/// error means that nothing was written.
fn is_divisible(error: &StoreError) -> bool {
    error.is_of_statement() || matches!(error, StoreError::Serialization(_))
}

/// Turns the failure of a single row's statement into a refusal if the row is the cause: the
/// failure concerns no other row, or other rows of the batch were written. Trying again then does
/// not help. Other errors, such as a lack of disk space, are kept.
pub(in crate::session::pipeline) fn refusal(error: StoreError, is_written: bool) -> StoreError {
    match error {
        StoreError::Query(cause) => StoreError::Refused(cause),
        StoreError::Server(cause) if is_written => StoreError::Refused(cause),
        other => other,
    }
}
