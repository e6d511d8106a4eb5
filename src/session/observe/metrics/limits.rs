//! Limits on concurrent work, exported beside the use of what they limit.

use prometheus::IntGauge;

use super::{MetricsBuilder, signed};

pub(crate) struct Limits {
    pub(crate) pool_size: IntGauge,
    queue: [IntGauge; 2],
    /// Calls in progress that bypass the queue, short and long ones.
    calls: [IntGauge; 2],
    calls_limit: [IntGauge; 2],
    pub(crate) database_up: IntGauge,
}

impl Limits {
    pub(super) fn new(make: &MetricsBuilder) -> prometheus::Result<Self> {
        let kinds = ["direct", "long"];
        Ok(Self {
            pool_size: make.gauge("pool_size", "Maximum number of open database connections")?,
            queue: make.gauges(
                "queue_limit",
                "Maximum number of operations waiting for a worker",
                "kind",
                ["load", "write"],
            )?,
            calls: make.gauges(
                "calls_in_progress",
                "Calls of the store that bypass the queue: direct (logins, lists) and long",
                "kind",
                kinds,
            )?,
            calls_limit: make.gauges(
                "calls_limit",
                "Maximum number of calls of the store that bypass the queue",
                "kind",
                kinds,
            )?,
            database_up: make.gauge(
                "database_up",
                "1 if the database answers, 0 while requests are refused without asking it",
            )?,
        })
    }

    /// Sets the limits of the queue and of the short and long calls that bypass it.
    pub(crate) fn set(&self, queue: usize, calls: [usize; 2]) {
        for gauge in &self.queue {
            gauge.set(signed(queue));
        }
        for (gauge, limit) in self.calls_limit.iter().zip(calls) {
            gauge.set(signed(limit));
        }
    }

    /// Sets how many short and long calls are in progress.
    pub(crate) fn set_calls(&self, in_progress: [usize; 2]) {
        for (gauge, number) in self.calls.iter().zip(in_progress) {
            gauge.set(signed(number));
        }
    }
}
