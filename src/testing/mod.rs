//! Support for tests, with the feature `testing`: a store in memory, a clock that is moved by hand,
//! [`Sessions::testing`](crate::Sessions::testing) for applications, and [`conformance`] checks for
//! stores. The [guide](crate::guide::testing) shows how they are used.

mod clock;
pub mod conformance;
mod memory;
mod sessions;

pub use self::clock::ManualClock;
pub use self::memory::MemoryStore;
pub use self::sessions::new_session;
pub use crate::session::{TestClient, TestSessions, TestVisitor};
