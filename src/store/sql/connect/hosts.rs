//! A URL with several hosts, of which one at a time accepts writes.
//!
//! libpq tries the hosts in the URL's order each time, and waits for a host that says nothing until
//! `connect_timeout`, which is as long as a request may take. While the first host is down, no
//! request that needs a new connection would be served in time. And a former primary that is back
//! would be preferred before its cluster has told it that it no longer is one. So each host is
//! tried on its own here: first the one that has served last, and those that say nothing only on a
//! thread apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::connection::OwnedConnection;
use super::{bounded, connect};
use crate::store::{DatabaseUrl, StoreError, StoreOptions};

/// A host that fails after this time has not answered. One that refuses does so at once.
const SILENCE: Duration = Duration::from_secs(1);

/// The hosts of a URL, and what earlier attempts to connect have found.
pub(super) struct Hosts {
    url: DatabaseUrl,
    /// None if libpq chooses the host.
    list: Vec<Host>,
    /// The host that has served last.
    first: AtomicUsize,
}

struct Host {
    url: DatabaseUrl,
    /// Whether the last attempt was not answered.
    is_silent: AtomicBool,
    /// Whether a thread is finding out if the host answers again.
    is_asked: AtomicBool,
}

impl Hosts {
    pub(super) fn of(url: &DatabaseUrl) -> Self {
        let host = |url| Host {
            url,
            is_silent: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
        };
        Self {
            url: url.clone(),
            list: each_host(url).into_iter().map(host).collect(),
            first: AtomicUsize::new(0),
        }
    }

    /// Connects to the first host that accepts.
    ///
    /// # Errors
    /// Fails with the reasons of all hosts if none accepts.
    pub(super) fn connect(
        self: &Arc<Self>,
        options: &StoreOptions,
    ) -> Result<OwnedConnection, StoreError> {
        if self.list.is_empty() {
            return connect(&self.url, options);
        }
        let asks_all = self.list.iter().all(Host::is_silent);
        let mut failures = Vec::new();
        for number in self.order() {
            let host = &self.list[number];
            if host.is_silent() && !asks_all {
                self.ask(number, options);
                failures.push((format!("{} does not answer", host.url), false));
                continue;
            }
            match host.connect(options) {
                Ok(connection) => {
                    self.first.store(number, Ordering::Release);
                    return Ok(connection);
                }
                Err(StoreError::Connect {
                    reason, permanent, ..
                }) => failures.push((reason, permanent)),
                Err(error) => return Err(error),
            }
        }
        let reasons: Vec<&str> = failures.iter().map(|(reason, _)| &**reason).collect();
        Err(StoreError::Connect {
            database: self.url.to_string(),
            reason: reasons.join("\n"),
            permanent: failures.iter().all(|(_, permanent)| *permanent),
        })
    }

    /// Returns the hosts in the order in which to try them: the one that has served last, the
    /// others, and those that do not answer.
    fn order(&self) -> Vec<usize> {
        let first = self.first.load(Ordering::Acquire);
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|number| (self.list[*number].is_silent(), *number != first));
        order
    }

    /// Finds out on a thread whether a silent host answers again, unless a thread already does.
    fn ask(self: &Arc<Self>, number: usize, options: &StoreOptions) {
        if self.list[number].is_asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let (hosts, options) = (Arc::clone(self), options.clone());
        let asked = std::thread::Builder::new()
            .name("database host".to_owned())
            .spawn(move || {
                let host = &hosts.list[number];
                let url = host.url.clone();
                let (limit, password) = (options.patience(), options.password.clone());
                let start = Instant::now();
                let answer = bounded(&host.url, password.as_ref(), limit, move || {
                    connect(&url, &options).map(drop)
                });
                host.learn(answer.as_ref().err(), start);
                host.is_asked.store(false, Ordering::Release);
            });
        if asked.is_err() {
            // The next attempt may get a thread.
            self.list[number].is_asked.store(false, Ordering::Release);
        }
    }
}

impl Host {
    fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Acquire)
    }

    fn connect(&self, options: &StoreOptions) -> Result<OwnedConnection, StoreError> {
        let start = Instant::now();
        let result = connect(&self.url, options);
        self.learn(result.as_ref().err(), start);
        result
    }

    fn learn(&self, failure: Option<&StoreError>, start: Instant) {
        let is_silent =
            failure.is_some_and(|error| !is_of_standby(error)) && start.elapsed() >= SILENCE;
        self.is_silent.store(is_silent, Ordering::Release);
    }
}

/// Returns whether a standby has answered, however late. The application's function that supplies
/// the password may have taken the time.
fn is_of_standby(error: &StoreError) -> bool {
    matches!(error, StoreError::Connect { reason, .. }
        if reason.contains("read-only") || reason.contains("hot standby"))
}

/// Returns a URL for each host, or none if libpq has to choose.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "a file has no hosts")
)]
fn each_host(url: &DatabaseUrl) -> Vec<DatabaseUrl> {
    #[cfg(feature = "postgres")]
    if let DatabaseUrl::Postgres(location) = url {
        let hosts = super::libpq::each_host(location).into_iter();
        return hosts.map(DatabaseUrl::Postgres).collect();
    }
    Vec::new()
}
