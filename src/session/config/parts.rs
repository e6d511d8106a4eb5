//! Parts of the settings, in the form in which other modules take them.

use super::{NOT_DIRECT, SessionConfig};
use crate::session::pipeline::PipelineOptions;
use crate::store::SessionLimit;

impl SessionConfig {
    pub(crate) fn session_limit(&self) -> SessionLimit {
        SessionLimit {
            max: self.max_sessions_per_user,
            on_limit: self.on_session_limit,
        }
    }

    pub(crate) fn pipeline(&self) -> PipelineOptions {
        PipelineOptions {
            workers: self.workers as usize,
            max_batch: self.max_batch as usize,
            max_queue: self.max_queue as usize,
            direct_calls: (self.pool_size - self.workers - NOT_DIRECT) as usize,
            timeout: self.timeout,
        }
    }
}
