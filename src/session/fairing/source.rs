//! The source of a Rocket's store of sessions.

use std::sync::Arc;

#[cfg(feature = "diesel")]
use rocket::tokio::task::spawn_blocking;

use crate::session::config::SessionConfig;
use crate::session::error::{ConfigError, SetupError};
#[cfg(feature = "diesel")]
use crate::store::{ApplicationPool, DieselStore};
use crate::store::{DatabaseUrl, EventStore, SchemaName, SessionStore, StatsStore, StoreError};

/// The source of the store of sessions.
pub(super) enum Source {
    /// The database of the settings.
    Settings,
    /// A store of the application.
    Store(Arc<dyn SessionStore>),
    /// The database of the application's pool.
    #[cfg(feature = "diesel")]
    Pool(ApplicationPool),
}

/// What a kind's store was opened from, by which later kinds find out that it is theirs too.
#[derive(Clone)]
pub(super) enum Origin {
    /// This database, in this schema.
    Database(DatabaseUrl, Option<SchemaName>),
    /// A store of the application.
    Store(Arc<dyn SessionStore>),
    /// The application's pool. Pools cannot be compared.
    #[cfg(feature = "diesel")]
    Pool,
}

/// What keeps the sessions, the statistics and the events.
pub(super) struct Stores {
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) stats: Option<Arc<dyn StatsStore>>,
    pub(super) events: Option<Arc<dyn EventStore>>,
}

impl Source {
    /// Returns the effective settings for this source.
    ///
    /// # Errors
    /// Fails if a pool is too small.
    #[cfg_attr(
        not(feature = "diesel"),
        expect(clippy::unnecessary_wraps, reason = "only a pool can be too small")
    )]
    pub(super) fn adapt(&self, config: SessionConfig) -> Result<SessionConfig, ConfigError> {
        match self {
            #[cfg(feature = "diesel")]
            Self::Pool(pool) => config.within(pool),
            Self::Settings | Self::Store(_) => Ok(config),
        }
    }

    /// Returns the origin of the store with these settings.
    pub(super) fn origin(&self, config: &SessionConfig) -> Result<Origin, StoreError> {
        Ok(match self {
            Self::Store(store) => Origin::Store(Arc::clone(store)),
            #[cfg(feature = "diesel")]
            Self::Pool(_) => Origin::Pool,
            Self::Settings => Origin::Database(config.database_url()?, config.schema.clone()),
        })
    }

    /// Returns whether a store of that origin is the one that this source would open, or the
    /// default where the settings name none.
    pub(super) fn is_same(
        &self,
        origin: &Origin,
        config: &SessionConfig,
    ) -> Result<bool, StoreError> {
        Ok(match (self, origin) {
            (Self::Settings, Origin::Database(url, schema)) => {
                config.database_url()? == *url && config.schema == *schema
            }
            (Self::Settings, _) => config.url.is_none(),
            (Self::Store(own), Origin::Store(other)) => {
                std::ptr::addr_eq(Arc::as_ptr(own), Arc::as_ptr(other))
            }
            _ => false,
        })
    }

    /// Opens the store. It also keeps the statistics and the events, unless other stores do. A store
    /// of the application keeps neither.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    #[cfg_attr(
        not(feature = "diesel"),
        expect(
            unused_variables,
            clippy::unused_async,
            reason = "without a database there is nothing to open"
        )
    )]
    pub(super) async fn open(
        &self,
        config: SessionConfig,
        stats: Option<Arc<dyn StatsStore>>,
        events: Option<Arc<dyn EventStore>>,
    ) -> Result<Stores, SetupError> {
        match self {
            Self::Store(store) => Ok(Stores {
                sessions: Arc::clone(store),
                stats,
                events,
            }),
            #[cfg(feature = "diesel")]
            Self::Pool(pool) => {
                let pool = pool.clone();
                opened(move || config.open_pool(pool), stats, events).await
            }
            #[cfg(feature = "diesel")]
            Self::Settings => {
                let url = config.database_url()?;
                opened(move || config.open_store(&url), stats, events).await
            }
            #[cfg(not(feature = "diesel"))]
            Self::Settings => Err(SetupError::Store(StoreError::Url(
                "this build supports no database; build it with the feature \"sqlite\" or \
                 \"postgres\", or give a store to Sessions::store"
                    .to_owned(),
            ))),
        }
    }
}

/// Opens a database on a thread of its own.
#[cfg(feature = "diesel")]
async fn opened(
    open: impl FnOnce() -> Result<DieselStore, SetupError> + Send + 'static,
    stats: Option<Arc<dyn StatsStore>>,
    events: Option<Arc<dyn EventStore>>,
) -> Result<Stores, SetupError> {
    let store = match spawn_blocking(open).await {
        Ok(store) => Arc::new(store?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    Ok(Stores {
        stats: Some(stats.unwrap_or_else(|| store.clone())),
        events: Some(events.unwrap_or_else(|| store.clone())),
        sessions: store,
    })
}
