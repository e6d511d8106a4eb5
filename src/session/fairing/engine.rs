//! What the kinds of session in one store share: the pipeline, the monitor and the background
//! threads.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rocket::tokio::task::spawn_blocking;

use super::source::Stores;
use crate::session::background::archivist::Archivist;
use crate::session::background::recorder::Recorder;
use crate::session::background::sweeper::Sweeper;
use crate::session::background::thread::Background;
use crate::session::clock::Clock;
use crate::session::config::SessionConfig;
use crate::session::error::SetupError;
use crate::session::expiry::policies::Policies;
use crate::session::observe::archive::Archive;
use crate::session::observe::events::Hook;
use crate::session::observe::monitor::{Keeps, Monitor};
use crate::session::observe::statistics::Statistics;
#[cfg(feature = "webhook")]
use crate::session::observe::webhook;
use crate::session::pipeline::Pipeline;
use crate::store::SessionStore;

/// What the kinds of session in one store share.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policies: Arc<Policies>,
    /// When this version took over the database, if an earlier one created it.
    pub(crate) upgraded_at: Option<DateTime<Utc>>,
    /// The record of events, if there is one. After `pipeline`, whose workers still cause events
    /// while it is dropped.
    pub(crate) archive: Option<Arc<Archive>>,
}

/// The background work of an engine, between ignition and liftoff.
pub(crate) struct BackgroundTasks {
    sweeper: Arc<Sweeper>,
    cleanup_interval: Duration,
    recorder: Option<Arc<Recorder>>,
    stats_interval: Duration,
    archivist: Option<Arc<Archivist>>,
}

impl Engine {
    /// Starts the pipeline over a store. Returns the background work too, which starts later.
    ///
    /// # Errors
    /// Fails if the store fails, the metrics cannot be registered, or a thread cannot be started.
    pub(crate) async fn start(
        stores: Stores,
        hooks: Vec<Hook>,
        clock: Arc<dyn Clock>,
        config: &SessionConfig,
    ) -> Result<(Self, BackgroundTasks), SetupError> {
        let Stores {
            sessions: store,
            stats,
            events,
        } = stores;
        let events = events.filter(|_| !config.events_retention.is_zero());
        let upgraded_at = upgraded_at(&store).await?;
        let keeps = Keeps {
            events: events.is_some(),
            usage: stats.is_some() && config.records_usage(),
        };
        let monitor = Monitor::new(hooks, keeps, Arc::clone(&clock))
            .map_err(|error| SetupError::Metrics(error.to_string()))?;
        let monitor = Arc::new(monitor);
        #[cfg(feature = "webhook")]
        if let Some(config) = &config.webhook {
            let counts = monitor.metrics.events.clone();
            monitor.send_to(webhook::start(config, counts).map_err(SetupError::Threads)?);
        }
        let is_one_store = stats
            .as_ref()
            .is_some_and(|stats| std::ptr::addr_eq(Arc::as_ptr(&store), Arc::as_ptr(stats)));
        let archive = events.and_then(|events| {
            let is_one = std::ptr::addr_eq(Arc::as_ptr(&store), Arc::as_ptr(&events));
            let monitor = Arc::clone(&monitor);
            Archive::new(events, monitor, config.events_retention, is_one).map(Arc::new)
        });
        let retention = config.stats_retention;
        let statistics =
            stats.map(|stats| Arc::new(Statistics::new(stats, Arc::clone(&monitor), retention)));
        let pipeline = Pipeline::start(
            store,
            Arc::clone(&monitor),
            statistics.clone(),
            config.pipeline(),
        )
        .map_err(SetupError::Threads)?;
        let recorder = statistics
            .filter(|statistics| statistics.records_usage())
            .map(|statistics| Recorder::new(statistics, Arc::clone(&monitor), is_one_store));
        let sweeper = Sweeper::new(Arc::clone(&pipeline.sweep), Arc::clone(&monitor));
        let tasks = BackgroundTasks {
            sweeper: Arc::new(sweeper),
            cleanup_interval: config.cleanup_interval,
            recorder: recorder.map(Arc::new),
            stats_interval: config.stats_interval,
            archivist: archive
                .clone()
                .map(|archive| Arc::new(Archivist::new(archive, config.cleanup_interval))),
        };
        let engine = Self {
            pipeline: Arc::new(pipeline),
            monitor,
            clock,
            policies: Arc::default(),
            upgraded_at,
            archive,
        };
        Ok((engine, tasks))
    }
}

impl BackgroundTasks {
    pub(crate) fn start(&self) -> std::io::Result<Vec<Background>> {
        let mut threads = vec![Arc::clone(&self.sweeper).start(self.cleanup_interval)?];
        if let Some(recorder) = &self.recorder {
            threads.push(Arc::clone(recorder).start(self.stats_interval)?);
        }
        if let Some(archivist) = &self.archivist {
            threads.push(Arc::clone(archivist).start()?);
        }
        Ok(threads)
    }
}

/// Returns when this version took over a database that an earlier version created.
async fn upgraded_at(store: &Arc<dyn SessionStore>) -> Result<Option<DateTime<Utc>>, SetupError> {
    let store = Arc::clone(store);
    match spawn_blocking(move || store.upgraded_at()).await {
        Ok(time) => Ok(time?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
