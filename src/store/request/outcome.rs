//! Results of a store: plain values, independent of the database.

use chrono::{DateTime, Utc};

use crate::store::ids::SessionHandle;

/// The outcome of a [`SaveSession`](super::SaveSession).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaveOutcome {
    /// The data is committed.
    Saved,
    /// Nothing was written, because another version is stored or the session is gone, rotated or
    /// expired.
    Refused,
    /// Nothing was written, because another transaction has locked the row. The save may be tried
    /// again.
    Held,
}

/// The outcome of a [`RotateSession`](super::RotateSession).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotateOutcome {
    /// The new token is committed and the old one is invalid.
    Rotated,
    /// Nothing was written, because the session is gone, rotated or expired.
    Gone,
    /// Nothing was written, because another transaction has locked the row. The rotation may be
    /// tried again.
    Held,
}

impl SaveOutcome {
    /// The outcomes of a changed row, a locked row and a row that was not found.
    #[cfg(feature = "postgres")]
    pub(in crate::store) const OF_ROWS: [Self; 3] = [Self::Saved, Self::Held, Self::Refused];
}

impl RotateOutcome {
    /// The outcomes of a changed row, a locked row and a row that was not found.
    #[cfg(feature = "postgres")]
    pub(in crate::store) const OF_ROWS: [Self; 3] = [Self::Rotated, Self::Held, Self::Gone];

    /// Returns the outcome if no row was locked.
    pub(in crate::store) fn of(was_there: bool) -> Self {
        if was_there { Self::Rotated } else { Self::Gone }
    }
}

/// The outcome of a delete, by handle. A session in neither list did not exist.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::DeleteOutcome;
///
/// let mut outcome = DeleteOutcome::default();
/// outcome.ended.push("tz4a98xxat96iws9zmbrgj3a".into());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteOutcome {
    /// Sessions that existed and were deleted.
    pub ended: Vec<SessionHandle>,
    /// Sessions that another transaction has locked. The delete may be tried again.
    pub held: Vec<SessionHandle>,
}

/// The outcome of a [`write`](crate::store::SessionStore::write).
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::{SaveOutcome, WriteOutcome};
///
/// let mut outcome = WriteOutcome::default();
/// outcome.saved = vec![SaveOutcome::Saved, SaveOutcome::Refused];
/// outcome.touched = 1;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOutcome {
    /// The outcome of each save of the batch, in the batch's order.
    pub saved: Vec<SaveOutcome>,
    /// Number of sessions touched.
    pub touched: usize,
}

/// The outcome of a batch of a sweep.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::SweepOutcome;
///
/// let mut outcome = SweepOutcome::default();
/// outcome.deleted = 1000;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepOutcome {
    /// Number of sessions deleted.
    pub deleted: usize,
    /// The handles of deleted sessions, if they were requested.
    pub handles: Vec<SessionHandle>,
    /// Whether a locked row or a concurrent sweep was met.
    pub contended: bool,
    /// The moment before which all expired sessions are deleted or left to the next pass, if the
    /// store knows it. It is the next batch's [`from`](super::SweepBatch::from).
    pub reached: Option<DateTime<Utc>>,
}

/// The connections of a store's pool.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::PoolState;
///
/// let mut pool = PoolState::default();
/// (pool.open, pool.in_use, pool.size) = (3, 1, 12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolState {
    /// Number of open connections.
    pub open: u32,
    /// Number of connections in use.
    pub in_use: u32,
    /// Maximum number of open connections.
    pub size: u32,
}
