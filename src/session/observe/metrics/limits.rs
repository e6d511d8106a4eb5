//! What limits the work at a time, exported beside what it limits.

use prometheus::IntGauge;

use super::{MetricsBuilder, signed};

pub(crate) struct Limits {
    pub(crate) pool_size: IntGauge,
    queue: [IntGauge; 2],
    /// Calls beside the queue, short ones and long ones, that are under way.
    calls: [IntGauge; 2],
    calls_limit: [IntGauge; 2],
    pub(crate) database_up: IntGauge,
}

impl Limits {
    pub(super) fn new(make: &MetricsBuilder) -> prometheus::Result<Self> {
        let kinds = ["direct", "long"];
        Ok(Self {
            pool_size: make.gauge("pool_size", "Most database connections the pool may open")?,
            queue: make.gauges(
                "queue_limit",
                "Most operations that may wait for a worker",
                "kind",
                ["load", "write"],
            )?,
            calls: make.gauges(
                "calls_in_progress",
                "Calls of the store beside the queue: logins and lists, and long ones",
                "kind",
                kinds,
            )?,
            calls_limit: make.gauges(
                "calls_limit",
                "Most calls of the store beside the queue at a time",
                "kind",
                kinds,
            )?,
            database_up: make.gauge(
                "database_up",
                "Whether the database answers: 0 while requests are refused without asking it",
            )?,
        })
    }

    /// Sets the limits of the queue, and of short and long calls beside it.
    pub(crate) fn set(&self, queue: usize, calls: [usize; 2]) {
        for gauge in &self.queue {
            gauge.set(signed(queue));
        }
        for (gauge, limit) in self.calls_limit.iter().zip(calls) {
            gauge.set(signed(limit));
        }
    }

    /// Sets how many short and long calls are under way.
    pub(crate) fn set_calls(&self, in_progress: [usize; 2]) {
        for (gauge, number) in self.calls.iter().zip(in_progress) {
            gauge.set(signed(number));
        }
    }
}
