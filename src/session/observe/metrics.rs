//! Counters and timings of this process's session layer for Prometheus.

mod events;
mod limits;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub(crate) use self::events::EventCounts;
use self::limits::Limits;
use crate::session::error::SessionError;
use crate::store::{Census, EndReason};

/// Upper bounds of the buckets for batch sizes, in operations.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Upper bounds of the buckets for calls of the store, in seconds.
const SECONDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5,
    1.0, 2.5,
];

/// Upper bounds of the buckets for sweep passes, in seconds.
const SWEEP_SECONDS: [f64; 8] = [0.001, 0.01, 0.1, 1.0, 5.0, 15.0, 60.0, 300.0];

/// The reason why a request that asked for a session got none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoSession {
    /// The request had no session cookie and no bearer token.
    None,
    /// The token was malformed, was not signed by us, or had a wrong secret half.
    Forged,
    /// The session has expired.
    Expired,
    /// The session is no longer stored.
    Gone,
    /// The session's data could not be decoded.
    Undecodable,
}

const MISSED: [&str; 5] = ["none", "forged", "expired", "gone", "undecodable"];

/// The kinds of calls of the store that are timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Load,
    Write,
    Rotate,
    Delete,
    Sweep,
    Other,
}

const CALLS: [&str; 6] = ["load", "write", "rotate", "delete", "sweep", "other"];

/// The kinds of work that were abandoned because their thread is stuck.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Abandoned {
    Load,
    Write,
    /// A call that bypasses the queue.
    Call,
    /// A closure passed to `update`.
    Closure,
}

const ABANDONED: [&str; 4] = ["load", "write", "call", "closure"];

/// The metrics of a session layer. Their names begin with `sessions_`.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) created: IntCounter,
    pub(crate) loaded: IntCounter,
    missed: [IntCounter; 5],
    pub(crate) updated: IntCounter,
    pub(crate) conflicts: IntCounter,
    pub(crate) rotated: IntCounter,
    pub(crate) logins: IntCounter,
    ended: [IntCounter; EndReason::ALL.len()],
    pub(crate) touched: IntCounter,
    pub(crate) sweeps: IntCounter,
    pub(crate) sweep_failures: IntCounter,
    pub(crate) swept: IntCounter,
    sweep_seconds: Histogram,
    batch_size: [Histogram; 6],
    call_seconds: [Histogram; 6],
    errors: IntCounterVec,
    abandoned: IntCounterVec,
    pub(crate) withdrawn: IntCounter,
    pub(crate) events: EventCounts,
    pub(crate) watchers: IntGauge,
    pub(crate) waiting_loads: IntGauge,
    pub(crate) waiting_writes: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) connections_in_use: IntGauge,
    pub(crate) limits: Limits,
    active_anonymous: IntGauge,
    active_signed_in: IntGauge,
}

/// Creates and registers metrics.
struct MetricsBuilder(Registry);

impl MetricsBuilder {
    fn register<C: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let collector = made?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::new(name, help))
    }

    fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; N],
    ) -> prometheus::Result<[IntCounter; N]> {
        let family = self.register(IntCounterVec::new(Opts::new(name, help), &[label]))?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<[Histogram; 6]> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = self.register(HistogramVec::new(options, &["call"]))?;
        Ok(CALLS.map(|call| family.with_label_values(&[call])))
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; 2],
    ) -> prometheus::Result<[IntGauge; 2]> {
        let family = self.register(IntGaugeVec::new(Opts::new(name, help), &[label]))?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }
}

impl Metrics {
    /// Creates and registers all metrics.
    ///
    /// # Errors
    /// Fails if two metrics have the same name, which is a mistake in this file.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let make = MetricsBuilder(Registry::new_custom(Some("sessions".to_owned()), None)?);
        let [waiting_loads, waiting_writes] = make.gauges(
            "queue_depth",
            "Operations waiting for a worker",
            "kind",
            ["load", "write"],
        )?;
        let [connections, connections_in_use] = make.gauges(
            "connections",
            "Database connections in the pool",
            "state",
            ["open", "in_use"],
        )?;
        let errors = Opts::new("errors_total", "Operations that failed, by kind");
        let errors = IntCounterVec::new(errors, &["kind"]).inspect(|family| {
            for kind in SessionError::KINDS {
                family.with_label_values(&[kind]);
            }
        });
        let version = Opts::new("build_info", "The version of this program, as a label")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        make.register(IntGauge::with_opts(version))?.set(1);
        let [active_anonymous, active_signed_in] = make.gauges(
            "active",
            "Live sessions of all instances when last sampled",
            "kind",
            ["anonymous", "signed_in"],
        )?;
        let ended = std::array::from_fn(|place| EndReason::ALL[place].name());
        let abandoned = Opts::new("abandoned_total", "Work taken away from stuck threads");
        let abandoned = IntCounterVec::new(abandoned, &["kind"]).inspect(|family| {
            for kind in ABANDONED {
                family.with_label_values(&[kind]);
            }
        });
        let sweep = HistogramOpts::new("sweep_seconds", "Duration of a sweep pass")
            .buckets(SWEEP_SECONDS.to_vec());
        Ok(Self {
            created: make.counter("created_total", "Sessions created")?,
            loaded: make.counter("loaded_total", "Requests that loaded a session")?,
            missed: make.counters(
                "missed_total",
                "Requests that asked for a session and got none, or not its data, by reason",
                "reason",
                MISSED,
            )?,
            updated: make.counter("updated_total", "Updates committed")?,
            conflicts: make.counter(
                "conflicts_total",
                "Updates applied again after another write of the same session",
            )?,
            rotated: make.counter("rotated_total", "Sessions given a new token")?,
            logins: make.counter("logins_total", "Users signed in")?,
            ended: make.counters("ended_total", "Sessions ended, by reason", "reason", ended)?,
            touched: make.counter("touches_total", "Touches of sessions written")?,
            sweeps: make.counter("sweeps_total", "Sweep passes")?,
            sweep_failures: make.counter("sweep_failures_total", "Sweep passes that failed")?,
            swept: make.counter("swept_total", "Expired sessions deleted by the sweep")?,
            sweep_seconds: make.register(Histogram::with_opts(sweep))?,
            batch_size: make.histograms(
                "batch_size",
                "Operations answered by one call of the store",
                &SIZES,
            )?,
            call_seconds: make.histograms(
                "statement_seconds",
                "Duration of a call of the store, including the wait for a connection, by kind",
                &SECONDS,
            )?,
            errors: make.register(errors)?,
            abandoned: make.register(abandoned)?,
            withdrawn: make.counter(
                "withdrawn_total",
                "New tokens withdrawn because they did not reach their visitor",
            )?,
            events: EventCounts::new(&make)?,
            watchers: make.gauge("watchers", "Futures waiting for the end of a session")?,
            waiting_loads,
            waiting_writes,
            connections,
            connections_in_use,
            limits: Limits::new(&make)?,
            active_anonymous,
            active_signed_in,
            registry: make.0,
        })
    }

    pub(crate) fn missed(&self, reason: NoSession) {
        self.missed[reason as usize].inc();
    }

    pub(crate) fn ended(&self, reason: EndReason, number: usize) {
        self.ended[reason.index()].inc_by(whole(number));
    }

    /// Records a call of the store that answered `size` operations.
    pub(crate) fn called(&self, call: Call, size: usize, took: Duration) {
        self.call_seconds[call as usize].observe(took.as_secs_f64());
        // A batch is far too small to lose precision as a float.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch is far smaller than 2^52"
        )]
        self.batch_size[call as usize].observe(size as f64);
    }

    pub(crate) fn swept(&self, number: usize, took: Duration) {
        self.swept.inc_by(whole(number));
        self.sweep_seconds.observe(took.as_secs_f64());
    }

    /// Sets the numbers of live sessions.
    pub(crate) fn active(&self, census: Census) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.active_signed_in.set(gauge(census.signed_in));
        let anonymous = census.active.saturating_sub(census.signed_in);
        self.active_anonymous.set(gauge(anonymous));
    }

    pub(crate) fn failed(&self, error: &SessionError) {
        self.errors.with_label_values(&[error.kind()]).inc();
    }

    pub(crate) fn abandoned(&self, kind: Abandoned) {
        let name = ABANDONED[kind as usize];
        self.abandoned.with_label_values(&[name]).inc();
    }

    /// Returns all metrics in Prometheus' text format, version 0.0.4.
    pub(crate) fn to_text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("metrics cannot be encoded: {error}");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Converts a number for a gauge.
pub(crate) fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a number for a counter.
pub(crate) fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn counted_events_appear_in_the_text_format() {
        let metrics = Metrics::new().unwrap();
        metrics.missed(NoSession::Forged);
        metrics.ended(EndReason::Expired, 7);
        metrics.called(Call::Load, 3, Duration::from_millis(2));
        metrics.failed(&SessionError::Timeout);
        metrics.limits.set(4096, [2, 1]);
        let text = metrics.to_text();
        for line in [
            "sessions_missed_total{reason=\"forged\"} 1",
            "sessions_missed_total{reason=\"none\"} 0",
            "sessions_ended_total{reason=\"expired\"} 7",
            "sessions_batch_size_bucket{call=\"load\",le=\"4\"} 1",
            "sessions_statement_seconds_count{call=\"load\"} 1",
            "sessions_errors_total{kind=\"timeout\"} 1",
            "sessions_errors_total{kind=\"outage\"} 0",
            "sessions_queue_limit{kind=\"write\"} 4096",
            "sessions_calls_limit{kind=\"long\"} 1",
            concat!(
                "sessions_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "# TYPE sessions_created_total counter",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }

    #[test]
    fn every_kind_of_error_has_a_counter() {
        let outage = StoreError::Outage {
            reason: String::new(),
        };
        for error in [
            SessionError::from(outage),
            SessionError::from(StoreError::TooLate),
            SessionError::from(StoreError::refused("a value")),
            SessionError::Timeout,
            SessionError::Overloaded,
            SessionError::Aborted,
            SessionError::Ended,
            SessionError::Stale,
            SessionError::UserRefused,
            SessionError::TooManySessions,
            SessionError::TooLarge { size: 2, limit: 1 },
            SessionError::Undecodable {
                id: "".into(),
                reason: String::new(),
            },
            SessionError::Answered,
            SessionError::Rotating,
            SessionError::NotAttached,
            SessionError::NoStatistics,
            SessionError::NoEvents,
        ] {
            assert!(SessionError::KINDS.contains(&error.kind()), "{error}");
        }
    }
}
