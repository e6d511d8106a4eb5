//! What the application reads from its environment, once, when it starts.

use rocket::Config;
use rocket::figment::providers::{Env, Format, Toml};
use rocket::figment::{Figment, Profile};

use super::{AdminToken, AppConfig};
use crate::{
    DatabaseUrl, SessionConfig, SessionKeys, SetupError, database_url_from_env, describe_figment,
};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rocket's configuration, with the profile selected.
    pub figment: Figment,
    /// The section `sessions` of it.
    pub sessions: SessionConfig,
    /// The section `app` of it.
    pub app: AppConfig,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `SESSION_SECRET`.
    pub keys: SessionKeys,
    /// `SESSION_ADMIN_TOKEN`.
    pub admin_token: AdminToken,
}

impl Settings {
    /// Reads and checks all settings of the environment, Rocket.toml among them.
    ///
    /// # Errors
    /// When one of them cannot be used: says which, and what is allowed.
    pub fn from_env() -> Result<Self, SetupError> {
        Self::read(SessionKeys::from_env)
    }

    /// Reads and checks all settings as [`from_env`](Self::from_env) does, and makes no file. Where
    /// a start would make a secret, `keys` is one that is kept nowhere.
    ///
    /// # Errors
    /// As for `from_env`.
    pub fn inspect() -> Result<Self, SetupError> {
        Self::read(SessionKeys::inspect)
    }

    fn read(keys: fn(bool) -> Result<SessionKeys, SetupError>) -> Result<Self, SetupError> {
        let figment = figment();
        rocket_config(&figment)?;
        Ok(Self {
            sessions: SessionConfig::from_figment(&figment)?,
            app: AppConfig::from_figment(&figment)?,
            database_url: database_url_from_env()?,
            keys: keys(figment.profile() == Config::DEBUG_PROFILE)?,
            admin_token: AdminToken::from_env(),
            figment,
        })
    }
}

/// Rocket's part of the configuration.
///
/// # Errors
/// When a value is of the wrong type or out of its range.
pub fn rocket_config(figment: &Figment) -> Result<Config, SetupError> {
    Config::try_from(figment).map_err(|error| SetupError::Figment(describe_figment("", &error)))
}

/// Rocket's usual sources. The profile is `ROCKET_PROFILE`; where that is not set,
/// `NODE_ENV=production` means `release`, and otherwise the build decides.
pub fn figment() -> Figment {
    let production = std::env::var("NODE_ENV").is_ok_and(|kind| kind == "production");
    let default = if production {
        Config::RELEASE_PROFILE
    } else {
        Config::DEFAULT_PROFILE
    };
    let profile = Profile::from_env_or("ROCKET_PROFILE", default);
    defaults(&profile)
        .merge(Toml::file(Env::var_or("ROCKET_CONFIG", "Rocket.toml")).nested())
        .merge(Env::prefixed("ROCKET_").ignore(&["PROFILE"]).global())
        .select(profile)
}

/// What counts where nothing is set.
fn defaults(profile: &Profile) -> Figment {
    let base = if *profile == Config::DEBUG_PROFILE {
        Config::debug_default()
    } else {
        Config::release_default()
    };
    // Rocket's own default is a header that any client can send.
    Figment::from(base).merge((Config::IP_HEADER, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_chooses_its_address_unless_a_header_is_set() {
        for profile in [Config::DEBUG_PROFILE, Config::RELEASE_PROFILE] {
            let figment = defaults(&profile).select(profile);
            assert_eq!(rocket_config(&figment).unwrap().ip_header, None);
        }
    }
}
