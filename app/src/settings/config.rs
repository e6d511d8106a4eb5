//! The section `[default.app]` of Rocket.toml: the application's settings besides those of the session
//! layer.

use std::num::NonZeroU32;
use std::time::Duration;

use rocket::figment::Figment;
use rocket::serde::{Deserialize, Serialize};
use rocket_diesel_sessions::{Origin, SetupError, figment};

/// The section's name in Rocket's configuration.
const SECTION: &str = "app";

/// The highest limit. A higher one would limit nothing, and its times would not fit the counter.
const MAX_GUESSES: u32 = 10_000;

/// The limits of `keep_signed_in`.
const KEPT_LEAST: Duration = Duration::from_hours(1);
const KEPT_MOST: Duration = Duration::from_hours(365 * 24);

/// Settings of the application. Durations are written as in `"30s"` or `"10m"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", deny_unknown_fields, default)]
pub struct AppConfig {
    /// The origins that may send unsafe requests, besides the request's own host. Default none.
    pub origins: Vec<Origin>,
    /// How long a password counts as recent for the actions that need one. Default 10 min
    /// (OWASP ASVS 5.0, 7.5.2). With `0s`, pages ask for it each time, and the API always refuses.
    #[serde(with = "humantime_serde")]
    pub reauthenticate_after: Duration,
    /// How long the page keeps a user signed in who asks for it. Without that, the session cookie is
    /// gone when the browser is closed. Default 30 d.
    #[serde(with = "humantime_serde")]
    pub keep_signed_in: Duration,
    /// How many passwords are hashed at a time. Each takes 19 MiB. Default: half the cores, which
    /// leaves the others to requests.
    pub hashes_at_once: NonZeroU32,
    /// How many wrong passwords for one user are admitted at once from one network. From all networks
    /// together, ten times as many are (OWASP ASVS 5.0, 6.1.1 and 6.3.1). Default 10.
    pub guesses_per_user: NonZeroU32,
    /// The interval after which one more wrong password for a user is admitted. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub user_guess_interval: Duration,
    /// How many wrong passwords are admitted at once from one address. Default 50.
    pub guesses_per_address: NonZeroU32,
    /// The interval after which one more wrong password from an address is admitted. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub address_guess_interval: Duration,
    /// Whether visitors may register. If not, only administrators add users. Default `true`.
    pub registration: bool,
    /// How many accounts may be registered from one address (IPv6: from a /64) per hour. Default 20.
    pub registrations_per_address: NonZeroU32,
    /// Who may read `/metrics`. Default [`MetricsAccess::Token`], in the debug profile
    /// [`MetricsAccess::Loopback`].
    pub metrics: Option<MetricsAccess>,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    crate = "rocket::serde",
    rename_all = "lowercase",
    expecting = "token, loopback or off"
)]
pub enum MetricsAccess {
    /// Administrators, by token or signed in.
    Token,
    /// Administrators, and direct connections from this machine.
    Loopback,
    /// No one.
    Off,
}

impl Default for AppConfig {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            origins: Vec::new(),
            reauthenticate_after: Duration::from_mins(10),
            keep_signed_in: Duration::from_hours(30 * 24),
            hashes_at_once: number(u32::try_from(cores.div_ceil(2)).unwrap_or(u32::MAX)),
            guesses_per_user: number(10),
            user_guess_interval: Duration::from_secs(30),
            guesses_per_address: number(50),
            address_guess_interval: Duration::from_secs(5),
            registration: true,
            registrations_per_address: number(20),
            metrics: None,
        }
    }
}

impl AppConfig {
    /// Reads the section `app` of the figment's selected profile and checks it.
    ///
    /// # Errors
    /// If a key is unknown, or a value is of the wrong type or out of its range.
    pub fn from_figment(figment: &Figment) -> Result<Self, SetupError> {
        let config: Self = figment::section(figment, SECTION)?;
        let day = Duration::from_hours(24);
        for (key, value) in [
            ("user_guess_interval", config.user_guess_interval),
            ("address_guess_interval", config.address_guess_interval),
        ] {
            if value.is_zero() || value > day {
                let value = humantime::format_duration(value);
                let problem = format!("{SECTION}.{key} = \"{value}\": must be from 1ns to 1day");
                return Err(SetupError::Figment(problem));
            }
        }
        if !(KEPT_LEAST..=KEPT_MOST).contains(&config.keep_signed_in) {
            let value = humantime::format_duration(config.keep_signed_in);
            let problem =
                format!("{SECTION}.keep_signed_in = \"{value}\": must be from 1h to 365d");
            return Err(SetupError::Figment(problem));
        }
        for (key, value) in [
            ("guesses_per_user", config.guesses_per_user),
            ("guesses_per_address", config.guesses_per_address),
            (
                "registrations_per_address",
                config.registrations_per_address,
            ),
        ] {
            if value.get() > MAX_GUESSES {
                let problem = format!("{SECTION}.{key} = {value}: must be from 1 to {MAX_GUESSES}");
                return Err(SetupError::Figment(problem));
            }
        }
        Ok(config)
    }

    /// Returns the settings, with the profile's defaults for what is not set.
    #[must_use]
    pub fn effective(&self, is_debug: bool) -> Self {
        Self {
            metrics: Some(self.metrics_access(is_debug)),
            ..self.clone()
        }
    }

    pub(crate) fn metrics_access(&self, is_debug: bool) -> MetricsAccess {
        self.metrics.unwrap_or(if is_debug {
            MetricsAccess::Loopback
        } else {
            MetricsAccess::Token
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::figment::providers::{Format, Toml};

    fn read(toml: &str) -> Result<AppConfig, String> {
        let toml = Toml::string(&format!("[default.app]\n{toml}")).nested();
        let figment = rocket::Config::figment().merge(toml);
        AppConfig::from_figment(&figment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_setting_that_is_not_given_has_its_default() {
        let config = read("origins = ['https://app.example.com']").unwrap();
        assert_eq!(config.origins, ["https://app.example.com".parse().unwrap()]);
        assert_eq!(config.reauthenticate_after, Duration::from_mins(10));
        assert_eq!(config.guesses_per_user.get(), 10);
    }

    #[test]
    fn a_section_that_would_be_ignored_is_refused() {
        for (toml, words) in [
            ("[app]\nregistration = false", ["[app]", "[default.app]"]),
            ("[App]\nregistration = false", ["[app]", "[default.app]"]),
            (
                "[default]\napp = 'x'",
                ["app: is a text", "must be a table"],
            ),
            (
                "[default]\napp = 5",
                ["app: is a number", "must be a table"],
            ),
            ("[default]\napp = []", ["app: is a list", "must be a table"]),
            (
                "[global]\napp = true",
                ["app: is a boolean", "must be a table"],
            ),
        ] {
            let figment = rocket::Config::figment().merge(Toml::string(toml).nested());
            let message = AppConfig::from_figment(&figment).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{toml}: {message}");
            }
        }
        // A profile may be named `app`, and other profiles may exist.
        for (toml, profile) in [
            ("[app.app]\nregistration = false", "app"),
            (
                "[default.app]\nregistration = false\n[staging]\nport = 1",
                "debug",
            ),
        ] {
            let figment = rocket::Config::figment().merge(Toml::string(toml).nested());
            let config = AppConfig::from_figment(&figment.select(profile)).unwrap();
            assert!(!config.registration, "{toml}");
        }
    }

    #[test]
    fn a_refusal_names_the_setting_and_what_is_allowed() {
        for (toml, key, allowed) in [
            ("origin = []", "origin", "origins"),
            ("origins = ['app.example']", "app.origins", "https://"),
            ("guesses_per_user = 0", "app.guesses_per_user", "nonzero"),
            (
                "user_guess_interval = '0s'",
                "app.user_guess_interval",
                "1day",
            ),
            (
                "reauthenticate_after = 5",
                "app.reauthenticate_after",
                "24h",
            ),
            ("keep_signed_in = '366d'", "app.keep_signed_in", "365d"),
            ("keep_signed_in = '59m'", "app.keep_signed_in", "1h"),
            ("guesses_per_user = 10001", "app.guesses_per_user", "10000"),
            ("metrics = 'all'", "app.metrics", "token, loopback, off"),
            ("metrics = true", "app.metrics", "token, loopback or off"),
            ("registration = 'no'", "app.registration", "boolean"),
            (
                "registrations_per_address = 0",
                "app.registrations_per_address",
                "nonzero",
            ),
        ] {
            let message = read(toml).unwrap_err();
            assert!(
                message.contains(key) && message.contains(allowed),
                "{toml}: {message}"
            );
        }
    }
}
