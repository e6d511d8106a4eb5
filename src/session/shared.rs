//! The state that the fairing sets up once and all requests share.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use rocket::data::ByteUnit;

use super::clock::Clock;
use super::config::OnUndecodable;
use super::cookie::policy::CookiePolicy;
use super::cookie::seal::Seal;
use super::expiry::ExpiryPolicy;
use super::observe::monitor::Monitor;
use super::pipeline::Pipeline;
use crate::store::SessionLimit;

pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) seal: Seal,
    /// The kind of session. Empty for the kind without a name.
    pub(crate) kind: String,
    pub(crate) cookie: CookiePolicy,
    pub(crate) expiry: ExpiryPolicy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) max_data_size: ByteUnit,
    pub(crate) on_undecodable: OnUndecodable,
    pub(crate) session_limit: SessionLimit,
    /// The time after a sign-in during which the guard `Fresh` accepts the user.
    pub(crate) fresh_for: Duration,
    /// How often the store is asked whether watched sessions are still live.
    pub(crate) watch_interval: Duration,
}

/// The name of the data type of the sessions that were attached first, for error messages.
pub(crate) struct AttachedType(pub(crate) &'static str);

/// Rocket's managed state. Its type parameter lets the guard check that its data type is the
/// attached one.
pub(crate) struct Attached<D> {
    pub(crate) shared: Arc<Shared>,
    marker: PhantomData<fn() -> D>,
}

impl<D> Attached<D> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            marker: PhantomData,
        }
    }
}
