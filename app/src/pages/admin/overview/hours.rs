//! How many sessions were created and ended per hour.

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::store::HourStats;

use crate::words::grouped;

/// The numbers of an hour.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) at: DateTime<Utc>,
    pub(super) created: u64,
    pub(super) ended: u64,
}

/// Returns one row per hour for the last `number` hours, up to the current one. Hours without statistics
/// are zeros.
pub(super) fn rows(stats: &[HourStats], now: DateTime<Utc>, number: u16) -> Vec<Row> {
    let this = HourStats::hour_of(now);
    let row = |back: u16| {
        let at = this - TimeDelta::hours(i64::from(back));
        let known = stats.iter().find(|stats| stats.hour == at);
        Row {
            at,
            created: known.map_or(0, |stats| stats.created),
            ended: known.map_or(0, |stats| stats.ended.total()),
        }
    };
    (0..number).rev().map(row).collect()
}

/// Returns the rows in words.
pub(super) fn summary(rows: &[Row]) -> String {
    let sum = |number: fn(&Row) -> u64| grouped(rows.iter().map(number).sum());
    let most = rows.iter().max_by_key(|row| row.created);
    let most = most.filter(|row| row.created > 0).map(|row| {
        let hour = row.at.format("%-d %B, %H:00");
        format!("; most were created on {hour} ({})", grouped(row.created))
    });
    format!(
        "{} sessions created and {} ended{}",
        sum(|row| row.created),
        sum(|row| row.ended),
        most.unwrap_or_default()
    )
}

#[cfg(test)]
pub(super) mod tests {
    use rocket_diesel_sessions::EndReason;

    use super::*;

    pub(in crate::pages::admin::overview) fn hour(
        hour: &str,
        created: u64,
        ended: [u64; 5],
    ) -> HourStats {
        let mut stats = HourStats::new(hour.parse().unwrap());
        stats.created = created;
        stats.ended = EndReason::ALL.iter().copied().zip(ended).collect();
        stats
    }

    #[test]
    fn hours_without_a_row_are_zeros() {
        let stats = [
            hour("2026-01-02T09:00:00Z", 3, [0, 1, 0, 4, 0]),
            hour("2026-01-02T11:00:00Z", 7, [0; 5]),
        ];
        let rows = rows(&stats, "2026-01-02T11:59:59Z".parse().unwrap(), 4);
        let counts: Vec<(u64, u64)> = rows.iter().map(|row| (row.created, row.ended)).collect();
        assert_eq!(counts, [(0, 0), (3, 5), (0, 0), (7, 0)]);
        assert_eq!(
            rows[0].at,
            "2026-01-02T08:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
    }
}
