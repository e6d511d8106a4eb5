//! x
#[cfg(feature = "app")]
pub mod app;
mod session;
mod store;
pub use session::*;
pub use store::*;
