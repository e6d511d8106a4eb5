//! The filters of the templates, as in `{{ count|grouped }}`. Each file with a template imports this
//! module under this name.

#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "askama's macro sets the form of a filter"
)]

use askama::{Error, Result, Values};

use super::assets;
use crate::words;

/// A number with its digits in groups of three.
#[askama::filter_fn]
pub(super) fn grouped(number: &u64, _: &dyn Values) -> Result<String> {
    Ok(words::grouped(*number))
}

/// The address of a file that pages load, which changes with its content.
#[askama::filter_fn]
pub(super) fn versioned(path: &str, _: &dyn Values) -> Result<String> {
    assets::url(path).ok_or_else(|| Error::custom(format!("there is no file {path}")))
}
