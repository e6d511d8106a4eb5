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

use askama::filters::Safe;
use askama::{Error, Result, Values};
use chrono::{DateTime, SecondsFormat, Utc};
use rocket::http::RawStr;

use super::{assets, icons};
use crate::words;

/// A number with its digits in groups of three.
#[askama::filter_fn]
pub(super) fn grouped(number: &u64, _: &dyn Values) -> Result<String> {
    Ok(words::grouped(*number))
}

/// A time as its distance from now, as in `{{ at|relative(now) }}`. The exact time is its title, which a
/// script puts in the visitor's own time zone.
#[askama::filter_fn]
pub(super) fn relative(
    at: &DateTime<Utc>,
    _: &dyn Values,
    now: &DateTime<Utc>,
) -> Result<Safe<String>> {
    let (distance, exact) = (words::until(*at, *now), words::exact(*at));
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(Safe(format!(
        r#"<time datetime="{at}" title="{exact}">{distance}</time>"#
    )))
}

/// A text as a part of a query, as in `?q={{ id|percent }}`.
#[askama::filter_fn]
pub(super) fn percent(text: &str, _: &dyn Values) -> Result<String> {
    Ok(RawStr::new(text).percent_encode().to_string())
}

/// The address of a file that pages load, which changes with its content.
#[askama::filter_fn]
pub(super) fn versioned(path: &str, _: &dyn Values) -> Result<String> {
    assets::url(path).ok_or_else(|| Error::custom(format!("there is no file {path}")))
}

/// An icon, by its name.
#[askama::filter_fn]
pub(super) fn icon(name: &str, _: &dyn Values) -> Result<Safe<String>> {
    let svg = icons::svg(name);
    svg.map(Safe)
        .ok_or_else(|| Error::custom(format!("there is no icon {name}")))
}
