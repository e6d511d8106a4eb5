//! The ranges that settings must be in.

use std::fmt::Display;
use std::time::Duration;

use rocket::data::ToByteUnit;

use super::{OTHER_CONNECTIONS, SECTION, SessionConfig};
use crate::session::error::ConfigError;
use crate::session::expiry::LONGEST;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

impl SessionConfig {
    /// Refuses values that are out of range.
    pub(in crate::session) fn check(&self) -> Result<(), ConfigError> {
        self.check_lifetimes()?;
        self.check_intervals()?;
        self.check_numbers()
    }

    fn check_lifetimes(&self) -> Result<(), ConfigError> {
        let (idle, absolute) = (self.idle_timeout, self.absolute_timeout);
        let anonymous = self.anonymous_idle();
        within("absolute_timeout", absolute, SECOND, LONGEST)?;
        within("idle_timeout", idle, SECOND, absolute)?;
        within("anonymous_idle_timeout", anonymous, SECOND, idle)?;
        // With a longer interval, sessions could expire while in use.
        let most = anonymous / 2;
        within("touch_interval", self.touch_interval, Duration::ZERO, most)?;
        within("fresh_for", self.fresh_for, SECOND, LONGEST)
    }

    fn check_intervals(&self) -> Result<(), ConfigError> {
        within("cleanup_interval", self.cleanup_interval, SECOND, LONGEST)?;
        within_or_off("stats_interval", self.stats_interval, SECOND)?;
        within("stats_retention", self.stats_retention, SECOND, LONGEST)?;
        within_or_off("events_retention", self.events_retention, HOUR)?;
        if let Some(webhook) = &self.webhook {
            webhook.check()?;
        }
        within("timeout", self.timeout, 10 * MILLISECOND, 60 * SECOND)?;
        let startup = self.startup_timeout;
        within("startup_timeout", startup, Duration::ZERO, HOUR)?;
        let least = 100 * MILLISECOND;
        within("watch_interval", self.watch_interval, least, HOUR)
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        whole("workers", self.workers, 1, 64)?;
        whole("max_batch", self.max_batch, 1, 1000)?;
        whole("max_queue", self.max_queue, 1, 1_000_000)?;
        let least = self.workers + OTHER_CONNECTIONS;
        if !(least..=1000).contains(&self.pool_size) {
            let allowed = format!(
                "must be from {least} (for {SECTION}.workers = {}, and {OTHER_CONNECTIONS} more for \
                 logins, the sweep, statistics and administration) to 1000",
                self.workers,
            );
            return Err(refused("pool_size", self.pool_size, allowed));
        }
        if self.max_data_size < 2 || self.max_data_size > 16.mebibytes() {
            let allowed = "must be from 2B to 16MiB";
            return Err(refused("max_data_size", self.max_data_size, allowed));
        }
        Ok(())
    }
}

fn within(key: &str, value: Duration, least: Duration, most: Duration) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let allowed = format!("must be from {} to {}", words(least), words(most));
    Err(refused(key, format!("\"{}\"", words(value)), allowed))
}

/// Refuses a duration that is neither zero, which switches something off, nor from `least` on.
fn within_or_off(key: &str, value: Duration, least: Duration) -> Result<(), ConfigError> {
    if value.is_zero() || (least..=LONGEST).contains(&value) {
        return Ok(());
    }
    let (least, most) = (words(least), words(LONGEST));
    let allowed = format!("must be 0s, which switches it off, or from {least} to {most}");
    Err(refused(key, format!("\"{}\"", words(value)), allowed))
}

/// Returns a duration as settings have it. `humantime` makes months of 30.44 days of its days.
fn words(duration: Duration) -> String {
    let (days, rest) = (duration.as_secs() / DAY, duration.as_secs() % DAY);
    let rest = Duration::new(rest, duration.subsec_nanos());
    match (days, rest.is_zero()) {
        (0 | 366.., _) => humantime::format_duration(duration).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

fn whole(key: &str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(refused(
        key,
        value,
        format!("must be from {least} to {most}"),
    ))
}

fn refused(key: &str, value: impl Display, allowed: impl Display) -> ConfigError {
    ConfigError::new(format!("{SECTION}.{key}"), value, allowed)
}
