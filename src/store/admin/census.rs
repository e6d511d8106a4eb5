//! The number of live sessions, and their usage.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::error::StoreError;
use crate::store::stats::{Census, HourStats, StatsStore};

/// Up to this number, sessions are counted on demand, which takes milliseconds.
pub(crate) const COUNTED_AT_ONCE: u32 = 10_000;

/// Maximum number of reported hours of usage: ten years.
const MAX_HOURS: u32 = 10 * 366 * 24;

/// Maximum number of reported next deadlines.
const NEXT_EXPIRIES: u32 = 10;

/// The number of live sessions, and their usage over time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// Number of live sessions.
    pub active: u64,
    /// Number of live sessions of signed-in users.
    pub signed_in: u64,
    /// Whether the numbers were counted now. If there are many sessions, a server reports its last
    /// sample.
    pub is_exact: bool,
    /// Whether there are more than 10,000 sessions, and no count has succeeded yet: just after a start,
    /// or because counting takes longer than the store may. `active` is then 10,001, and `signed_in` 0.
    pub is_minimum: bool,
    /// Whether the server records usage, or the setting `stats_interval` is `0s`. `true` if the numbers
    /// were read without a server.
    pub is_recorded: bool,
    /// The recorded hours, in ascending order.
    pub hours: Vec<HourStats>,
    /// The next deadlines of live sessions, earliest first, at most ten. Activity can still move
    /// them.
    pub next_expiries: Vec<DateTime<Utc>>,
}

/// The result of counting live sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCount {
    /// The numbers. `None` if there are many sessions that have not been counted.
    pub(crate) census: Option<Census>,
    pub(crate) is_exact: bool,
}

impl SessionStats {
    /// Creates statistics from a count made now. The rest is empty.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::SessionStats;
    /// use rocket_diesel_sessions::store::Census;
    ///
    /// let stats = SessionStats::new(Census::default());
    /// assert!(stats.is_exact && stats.hours.is_empty());
    /// ```
    pub const fn new(census: Census) -> Self {
        Self {
            active: census.active,
            signed_in: census.signed_in,
            is_exact: true,
            is_minimum: false,
            is_recorded: true,
            hours: Vec::new(),
            next_expiries: Vec::new(),
        }
    }

    /// Counts the live sessions, however many there are, and reads the usage of the last `hours`
    /// hours, including the current one; at most ten years.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::admin::SessionStats;
    /// use rocket_diesel_sessions::store::{StatsStore, StoreError};
    ///
    /// fn report(stats: &dyn StatsStore) -> Result<(), StoreError> {
    ///     let stats = SessionStats::read(stats, chrono::Utc::now(), 24)?;
    ///     println!("{} live sessions", stats.active);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails. It does not fail if the table cannot be counted in time.
    pub fn read(
        stats: &dyn StatsStore,
        now: DateTime<Utc>,
        hours: u32,
    ) -> Result<Self, StoreError> {
        let counted = stats.census(now, None);
        if let Err(error) = &counted {
            tracing::warn!("sessions could not be counted: {error}");
        }
        let is_exact = counted.is_ok();
        let census = match counted {
            Ok(census) => Some(census.unwrap_or_default()),
            Err(_) => stats.census(now, Some(COUNTED_AT_ONCE))?,
        };
        Self::of(SessionCount { census, is_exact }, stats, now, hours)
    }

    /// Reads the usage to be reported with a count.
    pub(crate) fn of(
        counted: SessionCount,
        stats: &dyn StatsStore,
        now: DateTime<Utc>,
        hours: u32,
    ) -> Result<Self, StoreError> {
        let back = TimeDelta::hours(i64::from(hours.clamp(1, MAX_HOURS)) - 1);
        let hours = stats.usage(HourStats::hour_of(now) - back)?;
        let census = counted.census.unwrap_or(Census {
            active: u64::from(COUNTED_AT_ONCE) + 1,
            signed_in: 0,
        });
        Ok(Self {
            is_exact: counted.is_exact,
            is_minimum: counted.census.is_none(),
            hours,
            next_expiries: stats.next_expiries(now, NEXT_EXPIRIES)?,
            ..Self::new(census)
        })
    }
}
