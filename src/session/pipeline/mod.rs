//! The only path from async requests to the blocking store.
//!
//! ```text
//! request ──job──▶ queue ──turn──▶ worker ──one call per kind──▶ store
//!    ▲                                │
//!    └────────────one-shot────────────┘
//! ```
//!
//! A request takes neither a thread nor a connection: it leaves a job and awaits the answer. A few
//! worker threads take the jobs that have queued up, without added delay, and answer them with one
//! statement per kind. The busier the server, the larger the batches.

mod breaker;
mod crew;
mod direct;
mod health;
mod job;
mod queue;
mod queued;
mod shared;
mod start;
mod untold;
mod worker;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;

pub(crate) use self::direct::sweep::Sweep;
#[cfg(feature = "diesel")]
pub use self::direct::uncommitted::UncommittedLogin;
pub(crate) use self::job::{Apply, Change};
pub(crate) use self::start::{CALL_CONNECTIONS, MIN_DIRECT_CALLS, Pipeline, PipelineOptions};
pub(crate) use self::untold::Untold;
