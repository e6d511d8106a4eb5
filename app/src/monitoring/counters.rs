//! The metrics of the application, besides those of the session layer: requests and attempts to enter
//! a password.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use rocket::http::Status;
use rocket_diesel_sessions::SessionError;

use super::process::Process;
use crate::accounts::error::AccountError;

/// The upper bounds of the buckets for the duration of requests, in seconds.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The classes of an answer's status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The purpose for which a password is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// To sign in.
    Login,
    /// To register.
    Register,
    /// To replace the password.
    Password,
    /// To confirm an action that needs the password again.
    Reauthenticate,
}

const ACTIONS: [&str; 4] = ["login", "register", "password", "reauthenticate"];

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Ok,
    /// The password was wrong.
    Failed,
    /// Too many attempts had preceded it.
    Limited,
    /// It was refused for another reason.
    Refused,
    /// The server failed.
    Broken,
}

impl From<&AccountError> for Attempt {
    fn from(error: &AccountError) -> Self {
        match error {
            AccountError::WrongCredentials
            | AccountError::WrongPassword
            | AccountError::PasswordReplaced
            | AccountError::Session(SessionError::UserRefused) => Self::Failed,
            AccountError::TooMany { .. } => Self::Limited,
            AccountError::Hash(_) => Self::Broken,
            AccountError::Session(error) if error.status().code >= 500 => Self::Broken,
            AccountError::Session(_)
            | AccountError::Refused(_)
            | AccountError::RegistrationClosed
            | AccountError::Taken(_)
            | AccountError::NoUser
            | AccountError::LastAdministrator
            | AccountError::SamePassword => Self::Refused,
        }
    }
}

const RESULTS: [&str; 4] = ["ok", "failed", "limited", "refused"];

const ATTEMPTS: &str = "Attempts to enter a password, by result: ok, failed (wrong password), limited \
                        (too many attempts) or refused (for another reason, such as a username \
                        that is taken)";

/// The application's metrics.
pub(crate) struct Counters {
    registry: Registry,
    attempts: [[IntCounter; 4]; 4],
    requests: [IntCounter; 5],
    request_seconds: Histogram,
}

impl Counters {
    /// # Errors
    /// If two metrics have the same name, which is a mistake in this file.
    pub(crate) fn new() -> Result<Arc<Self>, String> {
        Self::build()
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }

    fn build() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let attempts = Opts::new("sessions_auth_attempts_total", ATTEMPTS);
        let attempts = IntCounterVec::new(attempts, &["action", "result"])?;
        let requests = Opts::new(
            "sessions_http_requests_total",
            "Requests answered, by status class",
        );
        let requests = IntCounterVec::new(requests, &["status"])?;
        let request_seconds = HistogramOpts::new(
            "sessions_http_request_duration_seconds",
            "Time from the headers of a request to those of its answer",
        );
        let request_seconds = Histogram::with_opts(request_seconds.buckets(SECONDS.to_vec()))?;
        let collectors: [Box<dyn Collector>; 3] = [
            Box::new(attempts.clone()),
            Box::new(requests.clone()),
            Box::new(request_seconds.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        registry.register(Box::new(Process::new()?))?;
        Ok(Self {
            registry,
            attempts: ACTIONS
                .map(|action| RESULTS.map(|result| attempts.with_label_values(&[action, result]))),
            requests: CLASSES.map(|class| requests.with_label_values(&[class])),
            request_seconds,
        })
    }

    /// Counts an attempt by its result. A failure of the server is not counted.
    pub(crate) fn attempt(&self, action: Action, attempt: Attempt) {
        let result = match attempt {
            Attempt::Ok => 0,
            Attempt::Failed => 1,
            Attempt::Limited => 2,
            Attempt::Refused => 3,
            Attempt::Broken => return,
        };
        self.attempts[action as usize][result].inc();
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, status: Status, took: Duration) {
        let class = usize::from(status.code / 100);
        if let Some(counter) = class
            .checked_sub(1)
            .and_then(|class| self.requests.get(class))
        {
            counter.inc();
        }
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Returns all metrics in Prometheus' text format, version 0.0.4.
    pub(crate) fn to_text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("the metrics cannot be written: {error}");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(counters: &Counters, line: &str) -> bool {
        counters.to_text().lines().any(|have| have == line)
    }

    #[test]
    fn an_attempt_is_counted_by_its_result() {
        let counters = Counters::new().unwrap();
        counters.attempt(Action::Reauthenticate, Attempt::Ok);
        for error in [
            AccountError::WrongPassword,
            AccountError::TooMany {
                what: "too many passwords",
                wait: Duration::from_secs(1),
            },
            AccountError::RegistrationClosed,
            AccountError::Taken("ada".to_owned()),
            AccountError::Session(SessionError::Ended),
            AccountError::Session(SessionError::Overloaded),
            AccountError::Hash("no random bytes".to_owned()),
        ] {
            counters.attempt(Action::Reauthenticate, Attempt::from(&error));
        }
        for (result, number) in [("ok", 1), ("failed", 1), ("limited", 1), ("refused", 3)] {
            let labels = format!("action=\"reauthenticate\",result=\"{result}\"");
            let line = format!("sessions_auth_attempts_total{{{labels}}} {number}");
            assert!(has(&counters, &line), "{line}");
        }
    }

    #[test]
    fn a_status_without_a_class_is_only_timed() {
        let counters = Counters::new().unwrap();
        for status in [204, 404, 503, 999, 42].map(Status::new) {
            counters.answered(status, Duration::from_millis(30));
        }
        for line in [
            "sessions_http_requests_total{status=\"2xx\"} 1",
            "sessions_http_requests_total{status=\"4xx\"} 1",
            "sessions_http_requests_total{status=\"5xx\"} 1",
            "sessions_http_request_duration_seconds_bucket{le=\"0.025\"} 0",
            "sessions_http_request_duration_seconds_bucket{le=\"0.05\"} 5",
        ] {
            assert!(has(&counters, line), "{line}\n{}", counters.to_text());
        }
    }
}
