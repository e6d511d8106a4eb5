//! The hot statements of a store, in the form of each engine.

#[cfg(feature = "postgres")]
mod batch;
pub(super) mod keyed;
#[cfg(feature = "postgres")]
pub(super) mod portable;
#[cfg(feature = "postgres")]
pub(super) mod postgres;
mod presence;
#[cfg(feature = "sqlite")]
pub(super) mod sqlite;
mod statement;
