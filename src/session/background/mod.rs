//! Work in the background: the thread, the sweeper, the recorder, and the watch over sessions.

pub(super) mod archivist;
pub(super) mod recorder;
pub(super) mod sweeper;
pub(super) mod thread;
pub(super) mod watch;
