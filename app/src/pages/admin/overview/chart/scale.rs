//! Where a chart's bars, lines and labels are, as shares of the plot.

use std::fmt;

use crate::words::grouped;

/// The horizontal places of the bars.
pub(super) struct Columns {
    number: u64,
    /// The space on each side of a bar, in twentieths of a column.
    space: u64,
}

impl Columns {
    /// The number of columns from which on bars touch each other.
    const MANY: u64 = 100;

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

/// The vertical axis: lines at round numbers from zero on.
pub(super) struct Scale {
    step: u64,
    steps: u64,
}

impl Scale {
    /// The height of the smallest part, so that a single session can be seen beside thousands.
    const LEAST: Percent = Percent(100);

    /// How much higher than nearly all others the highest bar may be. The plot ends at twice their
    /// height if it is higher.
    const FAR: u64 = 4;

    /// Makes the axis for these bars.
    pub(super) fn of(totals: &[u64]) -> Self {
        let mut some: Vec<u64> = totals.iter().copied().filter(|total| *total > 0).collect();
        some.sort_unstable();
        let highest = some.last().copied().map_or(1, drawn);
        // Nineteen of twenty are not above this one.
        let usual = some.len().checked_sub(1 + some.len().div_ceil(20));
        let usual = usual.and_then(|place| some.get(place)).copied().map(drawn);
        match usual {
            Some(usual) if highest > usual * Self::FAR => Self::up_to(usual * 2),
            _ => Self::up_to(highest),
        }
    }

    fn up_to(highest: u64) -> Self {
        let least = (highest / 4).max(1);
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
            steps: highest.div_ceil(step),
        }
    }

    fn end(&self) -> u64 {
        self.steps * self.step
    }

    /// Returns whether a bar is higher than the plot.
    pub(super) fn clips(&self, total: u64) -> bool {
        drawn(total) > self.end()
    }

    pub(super) fn is_clipped(&self, totals: &[u64]) -> bool {
        totals.iter().any(|total| self.clips(*total))
    }

    /// The lines from top to bottom.
    pub(super) fn levels(&self) -> Vec<Level> {
        (0..=self.steps)
            .map(|place| Level {
                y: Percent::of(place, self.steps),
                label: short((self.steps - place) * self.step),
                is_zero: place == self.steps,
            })
            .collect()
    }

    /// Returns the top and the height of each part of a bar, from the bottom on. A zero has none.
    pub(super) fn stack(&self, numbers: &[u64]) -> Vec<Option<(Percent, Percent)>> {
        let mut top = Percent(10_000);
        let part = |number: &u64| {
            if *number == 0 || top == Percent(0) {
                return None;
            }
            let height = Percent::of(drawn(*number), self.end())
                .max(Self::LEAST)
                .min(top);
            top = Percent(top.0 - height.0);
            Some((top, height))
        };
        numbers.iter().map(part).collect()
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

/// A line across the plot, at a round number.
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
    fn parts_stand_on_each_other_and_the_smallest_is_seen() {
        let scale = Scale::up_to(1_000_000);
        let stack = scale.stack(&[1, 0, 500_000]);
        let (least, half) = (Percent(100), Percent(5000));
        assert_eq!(
            stack,
            [
                Some((Percent(9_900), least)),
                None,
                Some((Percent(4_900), half))
            ]
        );
        assert_eq!(
            scale.stack(&[2_000_000, 5]),
            [Some((Percent(0), Percent(10_000))), None]
        );
    }

    #[test]
    fn levels_are_round_and_hold_every_bar() {
        let labels = |highest| -> Vec<String> {
            let levels = Scale::up_to(highest).levels();
            levels.into_iter().map(|level| level.label).collect()
        };
        assert_eq!(labels(1), ["1", "0"]);
        assert_eq!(labels(3), ["3", "2", "1", "0"]);
        assert_eq!(labels(90), ["100", "50", "0"]);
        assert_eq!(labels(4000), ["4,000", "3,000", "2,000", "1,000", "0"]);
        assert_eq!(labels(1_200_000), ["1500k", "1M", "500k", "0"]);
    }

    #[test]
    fn only_a_number_far_above_the_others_is_clipped() {
        let clipped = |totals: &[u64]| Scale::of(totals).is_clipped(totals);
        assert!(!clipped(&[]) && !clipped(&[0, 0]) && !clipped(&[1_000_000]));
        assert!(!clipped(&[10, 20, 30, 40]));
        let mut totals = vec![10; 30];
        totals.push(1_000);
        assert!(clipped(&totals));
        totals.extend([1_000; 5]);
        assert!(!clipped(&totals), "it is not alone");
    }
}
