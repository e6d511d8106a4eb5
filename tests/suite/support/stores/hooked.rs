//! A real store with a hook before each call.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{SessionStore, StoreError};

use super::around::{Around, Wrapped};

pub(crate) use super::around::Call;

/// A store that runs `before` before each call. The hook can delay the call or make it fail.
pub(crate) type HookedStore = Wrapped<Hook>;

type Before = dyn Fn(Call<'_>) -> Result<(), StoreError> + Send + Sync;

pub(crate) struct Hook {
    inner: Arc<DieselStore>,
    before: Box<Before>,
    clock: Option<DateTime<Utc>>,
}

impl HookedStore {
    pub(crate) fn new(
        inner: Arc<DieselStore>,
        before: impl Fn(Call<'_>) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let before = Box::new(before);
        let clock = None;
        Arc::new(Wrapped(Hook {
            inner,
            before,
            clock,
        }))
    }

    /// Returns a store whose database has this clock.
    pub(crate) fn with_clock(inner: Arc<DieselStore>, clock: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Wrapped(Hook {
            inner,
            before: Box::new(|_| Ok(())),
            clock: Some(clock),
        }))
    }
}

impl Around for Hook {
    fn inner(&self) -> &dyn SessionStore {
        &*self.inner
    }

    fn around<T>(
        &self,
        call: Call<'_>,
        run: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        (self.before)(call)?;
        run(&*self.inner)
    }

    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.clock
            .map_or_else(|| self.inner.clock(), |clock| Ok(Some(clock)))
    }
}
