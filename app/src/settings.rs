//! The settings, which the application reads once from its environment when it starts.

pub(super) mod config;
pub mod effective;
pub mod logging;
use std::path::Path;

use rocket::Config;
use rocket::figment::providers::{Env, Format, Toml};
use rocket::figment::{Figment, Profile, Provider};
use rocket_diesel_sessions::figment as sections;
use rocket_diesel_sessions::{
    ConfigError, DatabaseUrl, SessionConfig, SessionKeys, SetupError, UserSource,
};

use super::{AdminToken, AppConfig};

/// The variable that names a file to read instead of Rocket.toml.
const ROCKET_CONFIG: &str = "ROCKET_CONFIG";

/// The keys that are allowed besides [`Config::PARAMETERS`]: another one of Rocket's, this program's
/// sections, and those that a figment adds itself.
const OTHER_KEYS: [&str; 5] = ["proxy_proto_header", "sessions", "app", "profile", "config"];

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rocket's configuration, with the profile selected.
    pub figment: Figment,
    /// The section `sessions` of Rocket's configuration.
    pub sessions: SessionConfig,
    /// The section `app` of Rocket's configuration.
    pub app: AppConfig,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `SESSION_SECRET`.
    pub keys: SessionKeys,
    /// `SESSION_ADMIN_TOKEN`.
    pub admin_token: AdminToken,
}

impl Settings {
    /// Reads and checks all settings, from the environment and Rocket.toml.
    ///
    /// # Errors
    /// If a setting cannot be used. The error names it and what is allowed.
    pub fn from_env() -> Result<Self, SetupError> {
        Self::read(SessionKeys::from_env)
    }

    /// Reads and checks all settings as [`from_env`](Self::from_env) does, but creates no file. Where
    /// a start would create a secret, `keys` holds one that is not stored.
    ///
    /// # Errors
    /// If a setting cannot be used. The error names it and what is allowed.
    pub fn inspect() -> Result<Self, SetupError> {
        Self::read(SessionKeys::inspect)
    }

    fn read(keys: fn(bool) -> Result<SessionKeys, SetupError>) -> Result<Self, SetupError> {
        let figment = figment();
        rocket_config(&figment)?;
        let sessions = SessionConfig::from_figment(&figment)?;
        check_users(&sessions)?;
        let app = AppConfig::from_figment(&figment)?;
        check_keys(&figment)?;
        if let Some(sections) = sections_of_others(&figment) {
            let profile = figment.profile();
            tracing::warn!(
                "{sections} is not read: the profile is {profile}, which has no section; \
                 ROCKET_PROFILE or the section may be mistyped"
            );
        }
        let is_debug = figment.profile() == Config::DEBUG_PROFILE;
        Ok(Self {
            database_url: sessions.database_url()?,
            sessions,
            app,
            admin_token: AdminToken::from_env(is_debug)?,
            keys: keys(is_debug)?,
            figment,
        })
    }
}

/// Refuses users of another program, because this application signs in its own.
fn check_users(sessions: &SessionConfig) -> Result<(), ConfigError> {
    if sessions.users == UserSource::Own {
        return Ok(());
    }
    let allowed = "must be \"own\": this program stores its users itself, and \"external\" is for \
                   applications that attach the library";
    Err(ConfigError::new("sessions.users", "\"external\"", allowed))
}

/// Refuses settings that would be ignored: TLS, because Rocket is built without it here, and unknown
/// keys of the file. An unknown variable only causes a warning, because another program may have set a
/// variable that begins with `ROCKET_`.
fn check_keys(figment: &Figment) -> Result<(), SetupError> {
    let profiles = figment.data();
    let profiles = profiles.map_err(|error| SetupError::Figment(sections::describe("", &error)))?;
    for (key, value) in profiles.values().flatten() {
        let metadata = figment.get_metadata(value.tag());
        let place = sections::place(key, metadata);
        if key.eq_ignore_ascii_case(Config::TLS) {
            return Err(SetupError::Figment(format!(
                "tls: this program serves plain http only; a proxy in front of it must terminate TLS{place}"
            )));
        }
        if Config::PARAMETERS.contains(&key.as_str()) || OTHER_KEYS.contains(&key.as_str()) {
            continue;
        }
        if !metadata.is_some_and(sections::is_environment) {
            let others = Config::PARAMETERS.iter().filter(|key| **key != Config::TLS);
            let others: Vec<&str> = others.copied().collect();
            return Err(SetupError::Figment(format!(
                "{key}: unknown key; allowed are sessions, app, and Rocket's {}{place}",
                others.join(", ")
            )));
        }
        tracing::warn!("{key}: unknown key, which is ignored{place}");
    }
    Ok(())
}

/// The sections of other profiles, if the selected profile has none. One of the names may then be
/// mistyped. The debug profile is not checked, because it often has no section.
fn sections_of_others(figment: &Figment) -> Option<String> {
    let of_all = [Profile::Default, Profile::Global, Config::DEBUG_PROFILE];
    let selected = figment.profile();
    if of_all.contains(selected) || figment.profiles().any(|profile| profile == selected) {
        return None;
    }
    let others = figment.profiles().filter(|other| !of_all.contains(other));
    let others: Vec<String> = others.map(|other| format!("[{other}]")).collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// Reads Rocket's part of the configuration.
///
/// # Errors
/// If a value is of the wrong type or out of its range.
pub fn rocket_config(figment: &Figment) -> Result<Config, SetupError> {
    let refused = |error| SetupError::Figment(sections::describe("", &error));
    let config = Config::try_from(figment).map_err(refused)?;
    for (key, value) in [
        ("workers", config.workers),
        ("max_blocking", config.max_blocking),
    ] {
        if value == 0 {
            let problem = format!("{key} = 0: must be at least 1");
            return Err(SetupError::Figment(problem));
        }
    }
    Ok(config)
}

/// Reads Rocket's usual sources. The profile is `ROCKET_PROFILE`. If that is not set,
/// `NODE_ENV=production` selects `release`, and otherwise the build decides.
pub fn figment() -> Figment {
    let production = std::env::var("NODE_ENV").is_ok_and(|kind| kind == "production");
    let default = if production {
        Config::RELEASE_PROFILE
    } else {
        Config::DEFAULT_PROFILE
    };
    let profile = Env::var("ROCKET_PROFILE").filter(|profile| !profile.trim().is_empty());
    let profile = profile.map_or(default, |profile| Profile::from(profile.trim()));
    let file = Env::var_or(ROCKET_CONFIG, "Rocket.toml");
    let mut figment = defaults(&profile);
    // Only in the working directory, because a folder above it may belong to someone else.
    if Path::new(&file).exists() {
        figment = figment.merge(Toml::file_exact(file).nested());
    }
    figment
        .merge(Env::prefixed("ROCKET_").ignore(&["PROFILE"]).global())
        .select(profile)
}

/// Warns if `ROCKET_CONFIG` names a file that does not exist.
pub fn warn_of_missing_file() {
    if let Some(file) = Env::var(ROCKET_CONFIG).filter(|file| !Path::new(file).exists()) {
        tracing::warn!("{ROCKET_CONFIG} = {file:?}: there is no such file, so none is read");
    }
}

/// The defaults.
fn defaults(profile: &Profile) -> Figment {
    let base = if *profile == Config::DEBUG_PROFILE {
        Config::debug_default()
    } else {
        Config::release_default()
    };
    // Rocket's own default trusts a header that any client can send.
    Figment::from(base)
        .merge((Config::IP_HEADER, false))
        .merge((Config::IDENT, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_be_ignored_are_refused() {
        let check = |toml: &str| {
            let toml = Toml::string(toml).nested();
            let figment = defaults(&Profile::Default).merge(toml);
            check_keys(&figment).map_err(|error| error.to_string())
        };
        for (toml, words) in [
            ("[default.tls]\ncerts = 'a.pem'", ["tls: ", "plain http"]),
            ("[release]\ntls = true", ["tls: ", "proxy"]),
            (
                "[default.session]\nidle_timeout = '1h'",
                ["session: ", "sessions, app"],
            ),
            ("[staging]\nadress = '::1'", ["adress: ", "address"]),
        ] {
            let message = check(toml).unwrap_err();
            for word in words {
                assert!(message.contains(word), "{toml}: {message}");
            }
        }
        let every = "[default]\nport = 1\nproxy_proto_header = 'x'\n[default.limits]\njson = 1\n\
                     [default.sessions]\n[default.app]\n[default.shutdown]\nctrlc = true\n[staging]\nport = 2";
        assert_eq!(check(every), Ok(()));
    }

    #[test]
    fn sections_that_a_mistyped_profile_leaves_out_are_found() {
        let of = |toml: &str, profile: &'static str| {
            let figment = defaults(&Profile::from(profile)).merge(Toml::string(toml).nested());
            sections_of_others(&figment.select(profile))
        };
        let found = |sections: &str| Some(sections.to_owned());
        assert_eq!(of("[relase]\nport = 1", "release"), found("[relase]"));
        assert_eq!(
            of("[release.app]\nregistration = false", "relase"),
            found("[release]")
        );
        assert_eq!(of("[release]\nport = 1", "production"), found("[release]"));
        for (toml, profile) in [
            ("[default]\nport = 1", "production"),
            ("[staging]\nport = 1\n[release]\nport = 2", "release"),
            ("[staging]\nport = 1", "debug"),
            ("[global]\nport = 1\n[debug]\nport = 2", "release"),
        ] {
            assert_eq!(of(toml, profile), None, "{toml} {profile}");
        }
    }

    #[test]
    fn no_client_chooses_its_address_unless_a_header_is_set() {
        for profile in [Config::DEBUG_PROFILE, Config::RELEASE_PROFILE] {
            let figment = defaults(&profile).select(profile);
            let config = rocket_config(&figment).unwrap();
            assert_eq!(config.ip_header, None);
            assert!(config.ident.as_str().is_none());
        }
    }
}
