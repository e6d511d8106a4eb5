//! The operations that bypass the queue because they are rare.

mod login;

use std::sync::Arc;
use std::time::Instant;

use rocket::tokio::sync::Semaphore;

use super::start::Pipeline;
use crate::session::error::SessionError;
use crate::store::{SessionStore, StoreError};

impl Pipeline {
    /// Runs `job` outside the queue, for rare operations.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_by(self.deadline(), job).await
    }

    /// Runs `job` outside the queue, with a deadline that the job knows.
    pub(crate) async fn run_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_in(&self.direct, deadline, job).await
    }

    /// Runs a long operation outside the queue, with a deadline of its own and one at a time.
    pub(crate) async fn run_long<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_in(&self.long, deadline, job).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let result = match self.shared.breaker.ready(deadline).await {
            Ok(()) => {
                let slack = self.patience.saturating_sub(self.timeout);
                let calls = &self.calls;
                calls.run(&self.shared, places, deadline, slack, job).await
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(error))
    }
}
