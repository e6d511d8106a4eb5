//! The URL of the database, from the settings or the environment.

use super::SessionConfig;
use crate::store::{DatabaseUrl, StoreError};

/// The environment variable with the database URL.
const DATABASE_URL: &str = "DATABASE_URL";

/// The database that is used if `DATABASE_URL` is not set.
const DEFAULT_DATABASE: &str = "sqlite://sessions.db";

impl SessionConfig {
    /// Returns the URL of the database: `url`, or otherwise that of the environment.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// let mut config = SessionConfig::default();
    /// config.url = Some("sqlite://visits.db".parse().unwrap());
    /// assert_eq!(config.database_url().unwrap().to_string(), "sqlite://visits.db");
    /// ```
    ///
    /// # Errors
    /// Fails as [`database_url_from_env`] does.
    pub fn database_url(&self) -> Result<DatabaseUrl, StoreError> {
        match &self.url {
            Some(url) => Ok(url.clone()),
            None => database_url_from_env(),
        }
    }
}

/// Reads the database URL from `DATABASE_URL`. Default `sqlite://sessions.db`.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::database_url_from_env;
///
/// match database_url_from_env() {
///     Ok(url) => println!("sessions are kept in {url}"),
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
///
/// # Errors
/// Fails if the URL is not one of a database that this build supports.
pub fn database_url_from_env() -> Result<DatabaseUrl, StoreError> {
    match std::env::var(DATABASE_URL) {
        Ok(url) if !url.trim().is_empty() => url.trim().parse(),
        Err(std::env::VarError::NotUnicode(_)) => Err(StoreError::Url("must be UTF-8".to_owned())),
        _ if cfg!(feature = "sqlite") => DEFAULT_DATABASE.parse(),
        _ => Err(StoreError::Url(format!(
            "is not set, and its default, {DEFAULT_DATABASE}, needs the feature \"sqlite\""
        ))),
    }
}
