//! What goes on beside requests: the thread, the sweep, the record of usage.

pub(super) mod batches;
pub(super) mod recorder;
pub(super) mod sweeper;
pub(super) mod thread;
