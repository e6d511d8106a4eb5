//! How many jobs come at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One job, in the unit of the average.
const ONE: usize = 1 << 16;

/// The number of jobs per turn, as an average in which the last turn counts for an eighth.
#[derive(Default)]
pub(super) struct Crowd {
    average: AtomicUsize,
}

impl Crowd {
    /// Records a turn of so many jobs. Called by one thread at a time.
    pub(super) fn took(&self, jobs: usize) {
        let average = self.average();
        let average = average - average / 8 + jobs * ONE / 8;
        self.average.store(average, Ordering::Relaxed);
    }

    /// Returns whether jobs nearly always come one at a time.
    pub(super) fn is_alone(&self) -> bool {
        self.average() < ONE + ONE / 100
    }

    /// Returns whether jobs often come several at a time.
    pub(super) fn is_several(&self) -> bool {
        self.average() >= ONE * 3 / 2
    }

    /// Returns whether few jobs come at a time.
    pub(super) fn is_small(&self) -> bool {
        self.average() < ONE * 2
    }

    fn average(&self) -> usize {
        self.average.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(turns: &[usize]) -> Crowd {
        let crowd = Crowd::default();
        for jobs in turns {
            crowd.took(*jobs);
        }
        crowd
    }

    #[test]
    fn a_single_visitor_is_alone() {
        let crowd = after(&[1; 1000]);
        assert!(crowd.is_alone() && crowd.is_small() && !crowd.is_several());
        crowd.took(2);
        assert!(!crowd.is_alone() && crowd.is_small());
        (0..20).for_each(|_| crowd.took(1));
        assert!(crowd.is_alone());
    }

    #[test]
    fn many_visitors_are_several() {
        let crowd = after(&[30, 1].repeat(10));
        assert!(!crowd.is_alone() && !crowd.is_small() && crowd.is_several());
    }
}
