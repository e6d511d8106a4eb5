//! Usage by the hour or by the day.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rocket_diesel_sessions::store::{EndCounts, HourStats};

/// How far back the charts reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Range {
    Day,
    #[default]
    Week,
    Month,
    Quarter,
}

impl Range {
    pub(super) const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Quarter];

    /// The value in the address.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    pub(super) const fn hours(self) -> u16 {
        match self {
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
            Self::Quarter => 90 * 24,
        }
    }

    /// The length of the time that a bar stands for.
    pub(super) const fn step(self) -> Step {
        match self {
            Self::Day | Self::Week => Step::Hour,
            Self::Month | Self::Quarter => Step::Day,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Hour,
    Day,
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Writes the time of a bar.
    pub(super) fn shown(self, at: DateTime<Utc>) -> String {
        let format = match self {
            Self::Hour => "%-d %b, %H:00",
            Self::Day => "%-d %b %Y",
        };
        at.format(format).to_string()
    }

    fn start(self, hour: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Hour => hour,
            Self::Day => hour - TimeDelta::hours(i64::from(hour.hour())),
        }
    }
}

/// The numbers of an hour or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: DateTime<Utc>,
    pub(super) created: u64,
    pub(super) ended: EndCounts,
    /// The most sessions that were live at a time.
    pub(super) peak: u64,
    /// The most users who were seen in an hour.
    pub(super) users: u64,
}

impl Row {
    fn new(at: DateTime<Utc>) -> Self {
        Self {
            at,
            created: 0,
            ended: EndCounts::default(),
            peak: 0,
            users: 0,
        }
    }

    fn add(&mut self, stats: &HourStats) {
        self.created = self.created.saturating_add(stats.created);
        for (reason, number) in stats.ended.iter() {
            self.ended.add(reason, number);
        }
        self.peak = self.peak.max(stats.peak_active);
        self.users = self.users.max(stats.users);
    }
}

/// Returns the rows of a range up to the present, oldest first. Times without statistics are zeros.
pub(super) fn rows(stats: &[HourStats], now: DateTime<Utc>, range: Range) -> Vec<Row> {
    let (this, step) = (HourStats::hour_of(now), range.step());
    let mut rows: Vec<Row> = Vec::new();
    for back in (0..range.hours()).rev() {
        let hour = this - TimeDelta::hours(i64::from(back));
        let at = step.start(hour);
        if rows.last().is_none_or(|row| row.at != at) {
            rows.push(Row::new(at));
        }
        let known = stats.iter().find(|stats| stats.hour == hour);
        if let (Some(row), Some(known)) = (rows.last_mut(), known) {
            row.add(known);
        }
    }
    rows
}

/// Returns what is recorded of the hour that was this many hours before the present one.
pub(super) fn hour(stats: &[HourStats], now: DateTime<Utc>, back: i64) -> Option<&HourStats> {
    let then = HourStats::hour_of(now) - TimeDelta::hours(back);
    stats.iter().find(|stats| stats.hour == then)
}

/// Returns the sum of 24 hours that end this many hours before the present one does.
pub(super) fn day(stats: &[HourStats], now: DateTime<Utc>, back: i64) -> Row {
    let end = HourStats::hour_of(now) - TimeDelta::hours(back);
    let start = end - TimeDelta::hours(23);
    let mut sum = Row::new(start);
    for stats in stats
        .iter()
        .filter(|stats| (start..=end).contains(&stats.hour))
    {
        sum.add(stats);
    }
    sum
}

/// Returns the hour of yesterday (UTC) in which the most sessions were live, if that is recorded.
pub(super) fn peak_of_yesterday(stats: &[HourStats], now: DateTime<Utc>) -> Option<&HourStats> {
    let yesterday = now.date_naive().pred_opt()?;
    let of_yesterday = stats
        .iter()
        .filter(|stats| stats.hour.date_naive() == yesterday);
    // The first of several with the same peak.
    let peak = of_yesterday.rev().max_by_key(|stats| stats.peak_active)?;
    (peak.peak_active > 0).then_some(peak)
}

#[cfg(test)]
pub(super) mod tests {
    use rocket_diesel_sessions::EndReason;

    use super::*;

    pub(in crate::pages::admin::overview) fn hour(
        hour: &str,
        created: u64,
        ended: [u64; 5],
        peak: u64,
    ) -> HourStats {
        let mut stats = HourStats::new(hour.parse().unwrap());
        stats.created = created;
        stats.ended = EndReason::ALL.iter().copied().zip(ended).collect();
        stats.peak_active = peak;
        stats
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn hours_without_a_row_are_zeros() {
        let stats = [
            hour("2026-01-02T09:00:00Z", 3, [0, 1, 0, 4, 0], 9),
            hour("2026-01-02T11:00:00Z", 7, [0; 5], 8),
        ];
        let rows = rows(&stats, at("2026-01-02T11:59:59Z"), Range::Day);
        let counts: Vec<_> = rows
            .iter()
            .map(|row| (row.created, row.ended.total()))
            .collect();
        assert_eq!(counts[20..], [(0, 0), (3, 5), (0, 0), (7, 0)]);
        assert_eq!(rows[20].at, at("2026-01-02T08:00:00Z"));
        assert_eq!(rows[21].peak, 9);
    }

    #[test]
    fn days_are_sums_and_peaks_of_their_hours() {
        let stats = [
            hour("2026-01-01T23:00:00Z", 3, [1; 5], 9),
            hour("2026-01-02T00:00:00Z", 4, [2; 5], 5),
            hour("2026-01-02T11:00:00Z", 7, [0; 5], 8),
        ];
        let rows = rows(&stats, at("2026-01-02T11:59:59Z"), Range::Month);
        assert_eq!(rows.len(), 31);
        let [.., first, second] = &rows[..] else {
            panic!("two days")
        };
        assert_eq!((first.created, first.ended.total(), first.peak), (3, 5, 9));
        assert_eq!(
            (second.created, second.ended.total(), second.peak),
            (11, 10, 8)
        );
        assert_eq!(second.at, at("2026-01-02T00:00:00Z"));
    }

    #[test]
    fn yesterday_is_the_day_before_in_utc() {
        let stats = [
            hour("2026-01-01T00:00:00Z", 0, [0; 5], 5),
            hour("2026-01-01T14:00:00Z", 0, [0; 5], 9),
            hour("2026-01-01T15:00:00Z", 0, [0; 5], 9),
            hour("2026-01-02T00:00:00Z", 0, [0; 5], 70),
        ];
        let peak = |now| peak_of_yesterday(&stats, at(now)).map(|stats| stats.hour);
        assert_eq!(
            peak("2026-01-02T00:00:00Z"),
            Some(at("2026-01-01T14:00:00Z"))
        );
        assert_eq!(
            peak("2026-01-03T00:00:00Z"),
            Some(at("2026-01-02T00:00:00Z"))
        );
        assert_eq!(peak("2026-01-01T23:00:00Z"), None);
        let sum = day(&stats, at("2026-01-02T00:30:00Z"), 0);
        assert_eq!((sum.at, sum.peak), (at("2026-01-01T01:00:00Z"), 70));
    }
}
