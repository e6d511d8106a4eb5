//! The database that a command works on, and `migrate`.

use rocket::figment::Figment;
use rocket_diesel_sessions::{
    DatabaseUrl, DieselStore, SessionConfig, SetupError, database_url_from_env,
};

use super::{Failure, say};

/// A database whose schema is up to date.
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    pub(super) store: DieselStore,
}

impl Database {
    /// Opens the database of the settings, which has to be there.
    pub(super) fn open(figment: &Figment) -> Result<Self, Failure> {
        let url = database_url_from_env()?;
        let store = SessionConfig::from_figment(figment)?.connect_existing(&url)?;
        let pending = store.pending_migrations()?;
        if pending.is_empty() {
            return Ok(Self { url, store });
        }
        let database = url.to_string();
        Err(SetupError::PendingMigrations { database, pending }.into())
    }
}

pub(super) fn migrate(figment: &Figment) -> Result<(), Failure> {
    let url = database_url_from_env()?;
    let versions = SessionConfig::from_figment(figment)?.migrate(&url)?;
    if versions.is_empty() {
        say(format_args!("{url} is up to date"))?;
    }
    for version in versions {
        say(format_args!("{url}: ran migration {version}"))?;
    }
    Ok(())
}
