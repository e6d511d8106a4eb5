//! Where the sessions of a Rocket are kept.

use std::sync::Arc;

use rocket::tokio::task::spawn_blocking;

use crate::session::config::SessionConfig;
use crate::session::error::{ConfigError, SetupError};
use crate::store::{ApplicationPool, DieselStore, SessionStore, StatsStore};

/// Where sessions are kept.
pub(super) enum Source {
    /// In the database of the settings.
    Settings,
    /// In a store of the application's.
    Store(Arc<dyn SessionStore>),
    /// In the database of a pool of the application's.
    Pool(ApplicationPool),
}

/// A store of sessions, and one of statistics.
type Stores = (Arc<dyn SessionStore>, Option<Arc<dyn StatsStore>>);

impl Source {
    /// Returns the settings that hold with this source.
    ///
    /// # Errors
    /// Fails if a pool is too small.
    pub(super) fn adapt(&self, config: SessionConfig) -> Result<SessionConfig, ConfigError> {
        match self {
            Self::Pool(pool) => config.within(pool),
            Self::Settings | Self::Store(_) => Ok(config),
        }
    }

    /// Opens the store, which keeps the statistics too unless `stats` does. A store of the
    /// application's keeps none.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    pub(super) async fn open(
        &self,
        config: SessionConfig,
        stats: Option<Arc<dyn StatsStore>>,
    ) -> Result<Stores, SetupError> {
        let store = match self {
            Self::Store(store) => return Ok((Arc::clone(store), stats)),
            Self::Pool(pool) => {
                let pool = pool.clone();
                blocking(move || config.open_pool(pool)).await?
            }
            Self::Settings => {
                let url = config.database_url()?;
                blocking(move || config.open_store(&url)).await?
            }
        };
        let stats = stats.unwrap_or_else(|| store.clone());
        Ok((store, Some(stats)))
    }
}

async fn blocking(
    open: impl FnOnce() -> Result<DieselStore, SetupError> + Send + 'static,
) -> Result<Arc<DieselStore>, SetupError> {
    match spawn_blocking(open).await {
        Ok(store) => Ok(Arc::new(store?)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
