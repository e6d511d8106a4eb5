//! The description of the API for programs: OpenAPI 3.1, made from the types and the limits of the code.

mod document;
mod errors;
pub(crate) mod parameters;
pub(crate) mod responses;
pub(super) mod schemas;

pub(crate) use document::{Description, routes};
