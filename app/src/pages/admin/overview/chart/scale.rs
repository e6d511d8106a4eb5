//! Where a chart's bars, lines and labels are, as shares of the plot.

use std::fmt;

use crate::pages::admin::overview::hours::Row;
use crate::words::grouped;

/// The horizontal places of the bars.
pub(super) struct Columns {
    number: u64,
    /// The space on each side of a bar, in twentieths of a column.
    space: u64,
}

impl Columns {
    /// The number of columns from which on bars touch each other.
    const MANY: u64 = 48;

    pub(super) fn new(number: usize) -> Self {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let space = if number > Self::MANY { 0 } else { 3 };
        Self { number, space }
    }

    pub(super) fn column(&self, place: u64) -> (Percent, Percent) {
        Percent::span(place, place + 1, self.number)
    }

    pub(super) fn middle(&self, place: u64) -> Percent {
        Percent::of(place * 2 + 1, self.number * 2)
    }

    pub(super) fn bar(&self, place: u64) -> (Percent, Percent) {
        let (left, right) = (place * 20 + self.space, (place + 1) * 20 - self.space);
        Percent::span(left, right, self.number * 20)
    }
}

/// The vertical axis: lines at round numbers, above zero for created sessions and below it for ended
/// ones.
pub(super) struct Scale {
    step: u64,
    steps_above: u64,
    steps_below: u64,
}

impl Scale {
    /// The height of the smallest bar, so that a single session can be seen beside thousands.
    const LEAST: Percent = Percent(100);

    pub(super) fn of(rows: &[Row]) -> Self {
        let most = |number: fn(&Row) -> u64| rows.iter().map(number).max().unwrap_or_default();
        Self::up_to(most(|row| row.created), most(|row| row.ended))
    }

    fn up_to(created: u64, ended: u64) -> Self {
        let (created, ended) = (drawn(created).max(1), drawn(ended));
        let least = ((created + ended) / 4).max(1);
        // 1, 2, 5, 10, 20, 50 and so on.
        let mut step = 1;
        for factor in [2, 5, 10].into_iter().cycle() {
            if step >= least {
                break;
            }
            step = if factor == 5 { step * 5 / 2 } else { step * 2 };
        }
        Self {
            step,
            steps_above: created.div_ceil(step),
            steps_below: ended.div_ceil(step),
        }
    }

    fn steps(&self) -> u64 {
        self.steps_above + self.steps_below
    }

    /// The lines from top to bottom.
    pub(super) fn levels(&self) -> Vec<Level> {
        (0..=self.steps())
            .map(|place| Level {
                y: Percent::of(place, self.steps()),
                label: short(place.abs_diff(self.steps_above) * self.step),
                is_zero: place == self.steps_above,
            })
            .collect()
    }

    fn zero(&self) -> Percent {
        Percent::of(self.steps_above, self.steps())
    }

    fn height(&self, number: u64) -> Option<Percent> {
        let height = Percent::of(drawn(number), self.steps() * self.step);
        (number > 0).then(|| height.max(Self::LEAST))
    }

    /// The top and height of a bar, if the number is not zero.
    pub(super) fn above_zero(&self, number: u64) -> Option<(Percent, Percent)> {
        let height = self.height(number)?;
        Some((Percent(self.zero().0.saturating_sub(height.0)), height))
    }

    pub(super) fn below_zero(&self, number: u64) -> Option<(Percent, Percent)> {
        Some((self.zero(), self.height(number)?))
    }
}

/// The number that is drawn: at most 2^50, far beyond any table's size, so that nothing overflows.
fn drawn(number: u64) -> u64 {
    number.min(1 << 50)
}

/// A level's number with about four characters at most.
fn short(number: u64) -> String {
    if number < 10_000 {
        grouped(number)
    } else if number.is_multiple_of(1_000_000) {
        format!("{}M", number / 1_000_000)
    } else {
        format!("{}k", number / 1000)
    }
}

/// A line across the plot, at a round number of sessions.
pub(super) struct Level {
    pub(super) y: Percent,
    pub(super) label: String,
    pub(super) is_zero: bool,
}

/// Hundredths of a percent of the plot's width or height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Percent(pub(super) u64);

impl Percent {
    pub(super) fn of(part: u64, whole: u64) -> Self {
        let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
        Self(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// The beginning and the length of what is between these, so that neighbours meet exactly.
    fn span(from: u64, to: u64, whole: u64) -> (Self, Self) {
        let (start, end) = (Self::of(from, whole), Self::of(to, whole));
        (start, Self(end.0.saturating_sub(start.0)))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_of_many_hours_touch() {
        let columns = Columns::new(168);
        for place in 0..167 {
            let (x, width) = columns.bar(place);
            assert_eq!(columns.bar(place + 1).0, Percent(x.0 + width.0));
        }
    }

    #[test]
    fn one_session_is_seen_beside_very_many_and_nothing_has_no_bar() {
        let scale = Scale::up_to(1_000_000, 1_000_000);
        let (zero, least) = (Percent(5000), Percent(100));
        assert_eq!(scale.above_zero(1), Some((Percent(4900), least)));
        assert_eq!(scale.below_zero(1), Some((zero, least)));
        assert_eq!(scale.above_zero(0), None);
    }

    #[test]
    fn levels_are_round_and_hold_every_bar() {
        let labels = |created, ended| -> Vec<String> {
            let levels = Scale::up_to(created, ended).levels();
            levels.into_iter().map(|level| level.label).collect()
        };
        assert_eq!(labels(0, 0), ["1", "0"]);
        assert_eq!(labels(3, 1), ["3", "2", "1", "0", "1"]);
        assert_eq!(labels(90, 30), ["100", "50", "0", "50"]);
        assert_eq!(
            labels(4000, 1),
            ["4,000", "3,000", "2,000", "1,000", "0", "1,000"]
        );
        assert_eq!(labels(1_200_000, 0), ["1500k", "1M", "500k", "0"]);
    }
}
