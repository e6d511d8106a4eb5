//! Counters of events: how many are recorded, and how many are sent to a webhook.

use prometheus::IntCounter;

use super::MetricsBuilder;

#[derive(Clone)]
pub(crate) struct EventCounts {
    pub(crate) recorded: IntCounter,
    /// Events for the record that found no place, or that the database refused.
    pub(crate) dropped: IntCounter,
    #[cfg(feature = "webhook")]
    pub(crate) delivered: IntCounter,
    /// Events for the webhook that were given up, or that found no place.
    #[cfg(feature = "webhook")]
    pub(crate) lost: IntCounter,
}

impl EventCounts {
    pub(super) fn new(make: &MetricsBuilder) -> prometheus::Result<Self> {
        #[cfg(feature = "webhook")]
        let [delivered, lost] = make.counters(
            "webhook_events_total",
            "Events sent to the webhook, by result",
            "result",
            ["delivered", "lost"],
        )?;
        Ok(Self {
            recorded: make.counter(
                "events_recorded_total",
                "Events of sessions written to the record",
            )?,
            dropped: make.counter(
                "events_dropped_total",
                "Events of sessions that were not recorded, because too many waited",
            )?,
            #[cfg(feature = "webhook")]
            delivered,
            #[cfg(feature = "webhook")]
            lost,
        })
    }
}
