//! Usage over time: the [`StatsStore`] trait and its values.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::StoreError;

/// The reason why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Its visitor signed out or ended it.
    Logout,
    /// Its user or an administrator ended it from elsewhere, or the user was deleted or disabled.
    Revoked,
    /// A login replaced it.
    Replaced,
    /// It expired, and a sweep deleted it.
    Expired,
    /// All sessions were cleared.
    Cleared,
}

impl EndReason {
    /// All reasons, in the order of counts by reason.
    pub const ALL: [Self; 5] = [
        Self::Logout,
        Self::Revoked,
        Self::Replaced,
        Self::Expired,
        Self::Cleared,
    ];

    /// Returns the reason's name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Cleared => "cleared",
        }
    }

    /// Returns the reason's position in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The usage that an instance adds to an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// Number of sessions created.
    pub created: u64,
    /// Number of sessions ended, by reason.
    pub ended: [u64; 5],
    /// Number of live sessions in a sample. The hour keeps the maximum.
    pub active: u64,
    /// Ids of the users who made a request.
    pub users: Vec<String>,
}

/// The usage of an hour, of all instances together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourStats {
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// Number of sessions created.
    pub created: u64,
    /// Number of sessions ended, by reason.
    pub ended: [u64; 5],
    /// Maximum number of live sessions in a sample.
    pub peak_active: u64,
    /// Number of distinct users who made a request.
    pub users: u64,
}

/// A sweep pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRecord {
    /// When the pass started.
    pub started_at: DateTime<Utc>,
    /// Duration of the pass, stored in milliseconds.
    pub elapsed: Duration,
    /// Number of sessions deleted.
    pub deleted: u64,
    /// The reason for the failure, if the pass failed.
    pub error: Option<String>,
}

/// Numbers of live sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All live sessions.
    pub active: u64,
    /// Live sessions of signed-in users.
    pub signed_in: u64,
}

/// A store of usage over time, shared by any number of instances.
///
/// # Errors
/// Every method fails if the database fails or cannot be reached.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail for the same reasons, which the trait describes"
)]
pub trait StatsStore: Send + Sync + 'static {
    /// Adds usage to its hours.
    fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError>;

    /// Returns the recorded hours from `from` on, in ascending order.
    fn usage(&self, from: DateTime<Utc>) -> Result<Vec<HourStats>, StoreError>;

    /// Records a sweep pass.
    fn add_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError>;

    /// Returns the last sweep passes, newest first.
    fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, StoreError>;

    /// Deletes hours and sweep passes before `before`, and replaces the user ids of hours that are over by
    /// their number.
    fn forget(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Counts the live sessions, which reads all of them. Returns `None` if there are more than
    /// `limit`.
    fn census(&self, now: DateTime<Utc>, limit: Option<u32>) -> Result<Option<Census>, StoreError>;

    /// Returns the next deadlines of live sessions, earliest first. Activity can still move them.
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
    fn every_end_reason_is_at_its_index_in_the_list() {
        for (place, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
        }
    }
}
