//! Settings by kind of session: `[default.sessions.<kind>]` over `[default.sessions]`.

use std::sync::LazyLock;

use rocket::figment::error::Kind;
use rocket::figment::value::{Dict, Value};
use rocket::figment::{Error, Figment};

use super::figment::{check_table, describe};
use super::{SECTION, SessionConfig, is_debug};
use crate::session::cookie::policy::CookiePolicy;
use crate::session::error::{ConfigError, SetupError};

/// Maximum length of a kind's name.
const MAX_NAME: usize = 32;

/// Settings that each kind has for itself. All others belong to the store, which kinds share.
const OWN: [&str; 13] = [
    "absolute_timeout",
    "anonymous_idle_timeout",
    "clear_site_data",
    "cookie",
    "fresh_for",
    "idle_timeout",
    "known_devices",
    "max_data_size",
    "max_sessions_per_user",
    "on_session_limit",
    "on_undecodable",
    "touch_interval",
    "transport",
];

/// The names of all settings.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let defaults = Value::serialize(SessionConfig::default());
    let defaults = defaults.ok().and_then(Value::into_dict);
    defaults.map_or_else(Vec::new, |dict| dict.into_keys().collect())
});

impl SessionConfig {
    /// Reads the settings of one kind of session: the section `sessions.<kind>` of the figment's
    /// selected profile, and where it is silent, the section `sessions`. What the kind's section says
    /// counts even if it stands in `[default]` and the other section in the selected profile. Only the
    /// cookie's name is not taken from there.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::figment::providers::{Format, Toml};
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// let figment = rocket::Config::figment().merge(Toml::string(r#"
    ///     [default.sessions]
    ///     max_sessions_per_user = 5
    ///     [default.sessions.staff]
    ///     idle_timeout = "15m"
    /// "#).nested());
    /// let staff = SessionConfig::of_kind(&figment, "staff").unwrap();
    /// assert_eq!(staff.idle_timeout.as_secs(), 15 * 60);
    /// assert_eq!(staff.max_sessions_per_user, 5);
    /// assert_eq!(staff.cookie.name.as_deref(), Some("session-staff"));
    /// ```
    ///
    /// # Errors
    /// Fails if the name is not one of a kind, and as [`from_figment`](Self::from_figment) does.
    pub fn of_kind(figment: &Figment, kind: &str) -> Result<Self, SetupError> {
        check_name(kind)?;
        let section = name(kind);
        check_table(figment, SECTION)?;
        check_table(figment, &section)?;
        // Each is read in the selected profile first: a setting of the kind in `[default]` is closer
        // than one of all kinds in `[release]`.
        let own = dict(figment, &section, figment.focus(&section).extract())?;
        let content = over(unnamed(figment, &section)?, own);
        let mut config = Self::decode(figment, &section, content)?;
        if !figment.contains(&format!("{section}.cookie.name")) {
            config.cookie.name = None;
        }
        config.cookie = config.cookie.of_kind(kind, is_debug(figment));
        config
            .checked(is_debug(figment))
            .map_err(|error| error.of_kind(kind))?;
        Ok(config)
    }

    /// Reads the section of the kind without a name. The sections of other kinds are not part of
    /// it, but must be readable too.
    pub(super) fn of_unnamed(figment: &Figment) -> Result<Self, SetupError> {
        check_table(figment, SECTION)?;
        let config = Self::decode(figment, SECTION, unnamed(figment, SECTION)?)?;
        config.checked(is_debug(figment))?;
        for kind in Self::kinds(figment) {
            Self::of_kind(figment, &kind)?;
        }
        Ok(config)
    }

    /// Returns the names of the kinds that have a section: the tables in the section `sessions`
    /// that are not settings.
    pub(crate) fn kinds(figment: &Figment) -> Vec<String> {
        let section: Dict = figment.focus(SECTION).extract().unwrap_or_default();
        let kinds = section
            .iter()
            .filter(|(name, value)| is_of_kind(name, value));
        kinds.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the first setting of the store that differs from those of another kind, whose store
    /// this one shares. A password that is missing here is that kind's.
    pub(crate) fn differs_in_store(&self, other: &Self) -> Option<String> {
        let settings = |config: &Self| {
            let settings = Value::serialize(config).ok().and_then(Value::into_dict);
            settings.unwrap_or_default()
        };
        let other_password = other.password.clone();
        let (own, other) = (settings(self), settings(other));
        let differs =
            |name: &&String| !OWN.contains(&name.as_str()) && own.get(*name) != other.get(*name);
        let has_own_password = self.password.is_some() && self.password != other_password;
        let password = has_own_password.then(|| "password".to_owned());
        NAMES.iter().find(differs).cloned().or(password)
    }

    fn checked(&self, debug: bool) -> Result<(), ConfigError> {
        self.check()?;
        CookiePolicy::new(&self.cookie, debug).map(|_| ())
    }

    /// Decodes a section's content.
    fn decode(figment: &Figment, section: &str, content: Dict) -> Result<Self, SetupError> {
        let decoded = Value::from(content).deserialize();
        decoded.map_err(|error| SetupError::Figment(located(figment, section, error)))
    }
}

/// Returns the section `sessions` without the sections of kinds. Errors are those of `section`, which
/// is read for it.
fn unnamed(figment: &Figment, section: &str) -> Result<Dict, SetupError> {
    let mut content = dict(figment, section, figment.focus(SECTION).extract())?;
    content.retain(|name, value| !is_of_kind(name, value));
    Ok(content)
}

fn dict(
    figment: &Figment,
    section: &str,
    content: Result<Dict, Error>,
) -> Result<Dict, SetupError> {
    content.map_err(|error| SetupError::Figment(located(figment, section, error)))
}

/// Returns the settings of `base` with those of `own` in their place. Tables are merged.
fn over(mut base: Dict, own: Dict) -> Dict {
    for (name, value) in own {
        let value = match (base.remove(&name), value) {
            (Some(Value::Dict(_, base)), Value::Dict(tag, own)) => {
                Value::Dict(tag, over(base, own))
            }
            (_, value) => value,
        };
        base.insert(name, value);
    }
    base
}

/// Returns the name of a kind's section.
fn name(kind: &str) -> String {
    format!("{SECTION}.{kind}")
}

/// Refuses a name that cannot be one of a kind.
pub(crate) fn check_name(kind: &str) -> Result<(), ConfigError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_allowed = |byte: u8| is_letter(byte) || byte.is_ascii_digit() || b"-_".contains(&byte);
    let bytes = kind.as_bytes();
    let is_name = bytes.first().is_some_and(|first| is_letter(*first))
        && bytes.iter().all(|byte| is_allowed(*byte))
        && bytes.len() <= MAX_NAME;
    if is_name && !is_setting(kind) {
        return Ok(());
    }
    let allowed = format!(
        "must be up to {MAX_NAME} lower-case letters, digits, - and _, beginning with a letter, and \
         not the name of a setting"
    );
    let key = "the name of a kind of session";
    Err(ConfigError::new(key, format!("{kind:?}"), allowed))
}

fn is_setting(name: &str) -> bool {
    NAMES.iter().any(|setting| setting == name)
}

/// Returns whether an entry of the section `sessions` is the section of a kind.
fn is_of_kind(name: &str, value: &Value) -> bool {
    value.as_dict().is_some() && check_name(name).is_ok()
}

/// Describes an error in the section of a kind, or in the section `sessions` if the setting comes
/// from there.
fn located(figment: &Figment, section: &str, mut error: Error) -> String {
    let mut path = error.path.join(".");
    if let Kind::UnknownField(found, _) = &error.kind
        && error.path.last() != Some(found)
    {
        path = format!("{path}.{found}");
    }
    let path = path.trim_start_matches('.');
    let is_own = figment.contains(&format!("{section}.{path}"));
    let section = if is_own { section } else { SECTION };
    if let Ok(value) = figment.find_value(&format!("{section}.{path}")) {
        error.metadata = figment.get_metadata(value.tag()).cloned();
    }
    describe(section, &error)
}
