//! A sweep pass of a server, on request or in the background.

use std::sync::Arc;

use crate::session::observe::metrics::Call;
use crate::session::observe::monitor::Monitor;
use crate::session::observe::statistics::Statistics;
use crate::store::admin::{PassOptions, StoreAdmin, SweepReport};
use crate::store::{SessionStore, StoreError};

/// Runs sweep passes and reports them to the monitor and the statistics. If usage is not recorded, a
/// pass also does what is left of the recorder's work, because it has woken the database anyway.
pub(crate) struct Sweep {
    pub(in crate::session::pipeline) store: Arc<dyn SessionStore>,
    pub(in crate::session::pipeline) statistics: Option<Arc<Statistics>>,
    pub(in crate::session::pipeline) monitor: Arc<Monitor>,
}

impl Sweep {
    /// Runs one pass. `stop` is called after each batch and ends the pass if it returns `true`.
    ///
    /// # Errors
    /// Fails if the clocks differ or the store fails. Sessions deleted by then stay deleted.
    pub(crate) fn pass(&self, mut stop: impl FnMut() -> bool) -> Result<SweepReport, StoreError> {
        let metrics = &self.monitor.metrics;
        metrics.sweeps.inc();
        let options = PassOptions {
            now: self.monitor.now(),
            is_clock_real: self.monitor.is_clock_real(),
            handles: self.monitor.needs_handles(),
        };
        let mut admin = StoreAdmin::new(&*self.store);
        if let Some(statistics) = &self.statistics {
            admin = admin.statistics(statistics.store());
        }
        let pass = admin.pass(&options, |batch, took| {
            metrics.called(Call::Sweep, batch.deleted, took);
            self.monitor.swept(batch);
            stop()
        });
        metrics.swept(pass.report.deleted, pass.report.elapsed);
        if pass.result.is_err() {
            metrics.sweep_failures.inc();
        }
        if let Err(error) = pass.recorded {
            tracing::debug!("the sweep could not be recorded in the statistics: {error}");
        }
        if let Some(statistics) = self.statistics.as_ref().filter(|it| !it.records_usage())
            && pass.result.is_ok()
            && let Err(error) = statistics.keep_up(options.now)
        {
            tracing::debug!("the statistics could not be kept up: {error}");
        }
        pass.result.map(|()| pass.report)
    }
}
