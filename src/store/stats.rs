//! Usage over time: the [`StatsStore`] trait and its values.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::error::StoreError;
use super::ids::UserId;

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
    /// All reasons.
    pub const ALL: &'static [Self] = &[
        Self::Logout,
        Self::Revoked,
        Self::Replaced,
        Self::Expired,
        Self::Cleared,
    ];

    /// Returns the reason's name in metrics and JSON.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EndReason;
    ///
    /// let names: Vec<&str> = EndReason::ALL.iter().map(|reason| reason.name()).collect();
    /// assert_eq!(names, ["logout", "revoked", "replaced", "expired", "cleared"]);
    /// ```
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
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Numbers of ended sessions, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts([u64; EndReason::ALL.len()]);

impl EndCounts {
    /// Adds to the number of one reason.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EndReason;
    /// use rocket_diesel_sessions::store::EndCounts;
    ///
    /// let mut ended = EndCounts::default();
    /// ended.add(EndReason::Logout, 2);
    /// ended.add(EndReason::Expired, 3);
    /// assert_eq!(ended.total(), 5);
    /// ```
    pub fn add(&mut self, reason: EndReason, number: u64) {
        let count = &mut self.0[reason.index()];
        *count = count.saturating_add(number);
    }

    /// Returns the number of one reason.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EndReason;
    /// use rocket_diesel_sessions::store::EndCounts;
    ///
    /// assert_eq!(EndCounts::default().of(EndReason::Revoked), 0);
    /// ```
    pub const fn of(&self, reason: EndReason) -> u64 {
        self.0[reason.index()]
    }

    /// Returns the number of all reasons together.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::EndCounts;
    ///
    /// assert_eq!(EndCounts::default().total(), 0);
    /// ```
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns every reason with its number, in the order of [`EndReason::ALL`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EndReason;
    /// use rocket_diesel_sessions::store::EndCounts;
    ///
    /// let ended = EndCounts::from_iter([(EndReason::Cleared, 7)]);
    /// let met: Vec<_> = ended.iter().filter(|(_, number)| *number > 0).collect();
    /// assert_eq!(met, [(EndReason::Cleared, 7)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (EndReason, u64)> {
        EndReason::ALL.iter().copied().zip(self.0)
    }
}

impl FromIterator<(EndReason, u64)> for EndCounts {
    fn from_iter<I: IntoIterator<Item = (EndReason, u64)>>(counts: I) -> Self {
        let mut ended = Self::default();
        for (reason, number) in counts {
            ended.add(reason, number);
        }
        ended
    }
}

/// The usage that an instance adds to an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageDelta {
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// Number of sessions created.
    pub created: u64,
    /// Number of sessions ended, by reason.
    pub ended: EndCounts,
    /// Number of live sessions in a sample. The hour keeps the maximum.
    pub active: u64,
    /// Ids of the users who made a request.
    pub users: Vec<UserId>,
}

impl UsageDelta {
    /// Makes a delta that adds nothing to the hour that starts at `hour`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::UsageDelta;
    ///
    /// let mut delta = UsageDelta::new("2026-01-02T09:00:00Z".parse().unwrap());
    /// delta.created = 3;
    /// ```
    pub fn new(hour: DateTime<Utc>) -> Self {
        Self {
            hour,
            created: 0,
            ended: EndCounts::default(),
            active: 0,
            users: Vec::new(),
        }
    }
}

/// The usage of an hour, of all instances together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HourStats {
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// Number of sessions created.
    pub created: u64,
    /// Number of sessions ended, by reason.
    pub ended: EndCounts,
    /// Maximum number of live sessions in a sample.
    pub peak_active: u64,
    /// Number of distinct users who made a request.
    pub users: u64,
}

impl HourStats {
    /// Makes an hour without usage that starts at `hour`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::HourStats;
    ///
    /// let mut stats = HourStats::new("2026-01-02T09:00:00Z".parse().unwrap());
    /// stats.peak_active = 12;
    /// ```
    pub fn new(hour: DateTime<Utc>) -> Self {
        Self {
            hour,
            created: 0,
            ended: EndCounts::default(),
            peak_active: 0,
            users: 0,
        }
    }

    /// Returns the start of the hour that contains `time`.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::{DateTime, DurationRound, TimeDelta, Utc};
    /// use rocket_diesel_sessions::store::HourStats;
    ///
    /// # fn main() -> Result<(), chrono::ParseError> {
    /// let time: DateTime<Utc> = "2026-01-01T10:59:59Z".parse()?;
    /// assert_eq!(HourStats::hour_of(time).to_rfc3339(), "2026-01-01T10:00:00+00:00");
    /// # Ok(())
    /// # }
    /// ```
    pub fn hour_of(time: DateTime<Utc>) -> DateTime<Utc> {
        time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time)
    }
}

/// A sweep pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl SweepRecord {
    /// Makes the record of a pass that deleted nothing.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SweepRecord;
    ///
    /// let mut pass = SweepRecord::new(chrono::Utc::now());
    /// pass.deleted = 1000;
    /// ```
    pub fn new(started_at: DateTime<Utc>) -> Self {
        Self {
            started_at,
            elapsed: Duration::ZERO,
            deleted: 0,
            error: None,
        }
    }
}

/// Numbers of live sessions.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::Census;
///
/// let mut census = Census::default();
/// (census.active, census.signed_in) = (12, 5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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

    /// Deletes hours and sweep passes before `before`, and replaces the user ids of hours that are
    /// over by their number.
    fn forget(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Counts the live sessions, which reads all of them. Returns `None` if there are more than
    /// `limit`.
    fn census(&self, now: DateTime<Utc>, limit: Option<u32>) -> Result<Option<Census>, StoreError>;

    /// Returns the next deadlines of live sessions, earliest first, at most `limit`. Activity can still
    /// move them.
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
        for (place, reason) in EndReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
        }
    }
}
