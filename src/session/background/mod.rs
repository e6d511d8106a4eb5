//! Work in the background: the thread, the sweeper and the recorder.

pub(super) mod recorder;
pub(super) mod sweeper;
pub(super) mod thread;
