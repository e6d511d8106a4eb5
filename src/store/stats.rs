//! Usage over time: the [`StatsStore`] trait and what it keeps.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::StoreError;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Its visitor ended it.
    Logout,
    /// Its user did from another session, or an administrator; or the user is gone.
    Revoked,
    /// A login took its place.
    Replaced,
    /// It passed a deadline, and a sweep deleted it.
    Expired,
    /// All sessions were ended.
    Cleared,
}

impl EndReason {
    /// Every reason, in the order in which counts by reason have them.
    pub const ALL: [Self; 5] = [
        Self::Logout,
        Self::Revoked,
        Self::Replaced,
        Self::Expired,
        Self::Cleared,
    ];

    /// Its name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Cleared => "cleared",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What an instance adds to an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// The hour's beginning.
    pub hour: DateTime<Utc>,
    /// Sessions created.
    pub created: u64,
    /// Sessions ended, by reason.
    pub ended: [u64; 5],
    /// Live sessions that a sample found; the hour keeps the most.
    pub active: u64,
    /// Users who were seen.
    pub users: Vec<String>,
}

/// What is known of an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourStats {
    /// The hour's beginning.
    pub hour: DateTime<Utc>,
    /// Sessions created.
    pub created: u64,
    /// Sessions ended, by reason.
    pub ended: [u64; 5],
    /// Most live sessions that a sample found.
    pub peak_active: u64,
    /// Different users who were seen.
    pub users: u64,
}

/// A pass of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRecord {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took; kept in milliseconds.
    pub elapsed: Duration,
    /// Sessions it deleted.
    pub deleted: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// How many sessions are live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub active: u64,
    /// Those of signed-in users.
    pub signed_in: u64,
}

/// Keeps usage over time. Any number of instances add to it.
pub trait StatsStore: Send + Sync + 'static {
    /// Adds to hours.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError>;

    /// The hours from this one on that anything is known of, in their order.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn usage(&self, from: DateTime<Utc>) -> Result<Vec<HourStats>, StoreError>;

    /// Keeps a pass of the sweep.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn add_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError>;

    /// The last passes, newest first.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, StoreError>;

    /// Forgets hours and passes before `before`, and the names of users of hours that are over.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn forget(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Counts live sessions, which reads all of them; `None` when there are more than `limit`.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn census(&self, now: DateTime<Utc>, limit: Option<u32>) -> Result<Option<Census>, StoreError>;

    /// When the next live sessions end unless they are used, soonest first.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn next_expiries(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DateTime<Utc>>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (place, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
        }
    }
}
