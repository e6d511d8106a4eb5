//! Batches that are run again in parts, so that one row the database refuses fails by itself.

use std::time::Instant;

use super::breaker::is_reported;
use super::job::{CreateJob, Job};
use super::update::Group;
use crate::session::SessionError;
use crate::store::{NewSession, SaveSession, StoreError, TouchSession};

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

/// What goes into one write of the store.
pub(super) struct Writes {
    pub(super) creates: Vec<CreateJob>,
    pub(super) saves: Vec<(Group, SaveSession)>,
    pub(super) touches: Vec<TouchSession>,
    /// When touches are no longer tried: no caller waits for them, and the next request of a session
    /// brings its touch again.
    pub(super) touch_until: Instant,
}

/// The values of [`Writes`] as the store takes them.
pub(super) struct Values {
    pub(super) creates: Vec<NewSession>,
    pub(super) saves: Vec<SaveSession>,
}

impl Writes {
    /// The values to write. The data of saves is moved out, and put back by
    /// [`put_back`](Self::put_back).
    pub(super) fn values(&mut self) -> Values {
        let take = |save: &mut SaveSession| SaveSession {
            data: std::mem::take(&mut save.data),
            ..*save
        };
        Values {
            creates: self.creates.iter().map(|job| job.work.clone()).collect(),
            saves: self.saves.iter_mut().map(|(_, save)| take(save)).collect(),
        }
    }

    pub(super) fn put_back(&mut self, values: Values) {
        for ((_, save), value) in self.saves.iter_mut().zip(values.saves) {
            save.data = value.data;
        }
    }
}

impl Batch for Writes {
    fn len(&self) -> usize {
        self.creates.len() + self.saves.len() + self.touches.len()
    }

    /// Splits each kind, so that a kind with one item and one of another come apart too.
    fn halves(mut self) -> (Self, Self) {
        let mut left = self.len() / 2;
        let mut take = |len: usize| {
            let taken = len.min(left);
            left -= taken;
            taken
        };
        let (creates, saves) = (take(self.creates.len()), take(self.saves.len()));
        let touches = take(self.touches.len());
        let first = Self {
            creates: self.creates.drain(..creates).collect(),
            saves: self.saves.drain(..saves).collect(),
            touches: self.touches.drain(..touches).collect(),
            touch_until: self.touch_until,
        };
        (first, self)
    }
}

/// A part of a batch that failed, and why.
pub(super) type Failed<B> = (B, StoreError);

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
    let is_of_row = !error.is_of_server() || is_written && !error.is_of_space();
    match error {
        StoreError::Query(error) if is_of_row => StoreError::Refused(error),
        other => other,
    }
}
