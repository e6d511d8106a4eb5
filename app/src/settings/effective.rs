//! The effective settings, each with its source, for the command line and for administrators.

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use rocket::Config;
use rocket::figment::{Figment, Metadata};
use rocket::serde::Serialize;
use rocket::serde::json::{Value, to_value};
use rocket_diesel_sessions::SetupError;
use utoipa::ToSchema;

use super::{Settings, rocket_config};

/// The source of a setting that is not set.
const DEFAULT: &str = "default";

/// The source of a setting that an argument of the command line has given.
pub const COMMAND_LINE: &str = "command line";

/// The file in which the debug profile keeps the secret that it has made.
const SECRET_FILE: &str = ".session-secret";

/// The environment before the program changed it.
static FIRST: OnceLock<Environment> = OnceLock::new();

/// The environment before `.env` was read: the names of its variables, in upper case.
#[derive(Clone, Debug)]
pub struct Environment(HashSet<String>);

impl Environment {
    /// Returns the environment as it is now.
    pub fn now() -> Self {
        let name = |(name, _): (std::ffi::OsString, _)| name.to_string_lossy().to_uppercase();
        Self(std::env::vars_os().map(name).collect())
    }

    /// Remembers the environment as it was before the program changed it. Only the first call counts.
    pub fn remember(self) {
        let _ = FIRST.set(self);
    }

    /// Returns the environment that was remembered, or that of now.
    pub fn first() -> Self {
        FIRST.get().cloned().unwrap_or_else(Self::now)
    }

    /// The source of a variable, if it is set.
    fn source(&self, name: &str) -> Option<String> {
        let is_blank = |value: &std::ffi::OsStr| value.to_string_lossy().trim().is_empty();
        let is_set = std::env::var_os(name).is_some_and(|value| !is_blank(&value));
        is_set.then(|| self.source_of_set(name))
    }

    fn source_of_set(&self, name: &str) -> String {
        if self.0.contains(name) {
            format!("environment variable {name}")
        } else {
            format!(".env ({name})")
        }
    }
}

/// A setting.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
pub struct Setting {
    /// The name, such as `sessions.idle_timeout`.
    pub key: String,
    /// The value. Of a secret, only whether it is set.
    pub value: Value,
    /// Where it was set, or `default`.
    pub source: String,
}

impl Setting {
    fn new(key: &str, value: impl Into<Value>, source: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
            source: source.into(),
        }
    }
}

impl Setting {
    /// Returns whether it is not set and has its default.
    pub fn is_default(&self) -> bool {
        self.source == DEFAULT
    }

    /// Returns the value for people.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        }
    }
}

/// The settings of this instance, for administrators.
#[derive(Debug)]
pub(crate) struct EffectiveSettings(pub(crate) Vec<Setting>);

/// Returns the effective settings, each with its source. Secrets are not among them.
///
/// # Errors
/// If Rocket's part of the configuration cannot be used.
pub fn effective(
    settings: &Settings,
    environment: &Environment,
) -> Result<Vec<Setting>, SetupError> {
    let figment = &settings.figment;
    let is_debug = figment.profile() == Config::DEBUG_PROFILE;
    let rocket = rocket_config(figment)?;
    let sections = [
        ("", to_value(rocket)),
        ("sessions", to_value(settings.sessions.effective(figment))),
        ("app", to_value(settings.app.effective(is_debug))),
    ];
    let mut list = of_environment(settings, environment);
    for (section, values) in sections {
        let unfit = |error| SetupError::Figment(format!("{section}: {error}"));
        flatten(section, values.map_err(unfit)?, &mut |key, value| {
            let source = source(figment, environment, &key);
            list.push(Setting { key, value, source });
        });
    }
    Ok(list)
}

/// The settings that are environment variables of their own. Secrets are not shown.
fn of_environment(settings: &Settings, environment: &Environment) -> Vec<Setting> {
    let source = |name: &str| environment.source(name);
    let text = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let or_default = |name: &str| source(name).unwrap_or_else(|| DEFAULT.to_owned());
    let hidden = |name: &str| match source(name) {
        Some(source) => Setting::new(name, "set", source),
        None => Setting::new(name, "not set", DEFAULT),
    };
    let profile = source("ROCKET_PROFILE").or_else(|| {
        let is_production = text("NODE_ENV").is_some_and(|kind| kind == "production");
        source("NODE_ENV").filter(|_| is_production)
    });
    let mut secret = hidden("SESSION_SECRET");
    if secret.source == DEFAULT && Path::new(SECRET_FILE).exists() {
        secret = Setting::new("SESSION_SECRET", "set", SECRET_FILE);
    }
    vec![
        Setting::new(
            "profile",
            settings.figment.profile().to_string(),
            profile.unwrap_or_else(|| DEFAULT.to_owned()),
        ),
        Setting::new(
            "DATABASE_URL",
            settings.database_url.to_string(),
            or_default("DATABASE_URL"),
        ),
        secret,
        hidden("SESSION_ADMIN_TOKEN"),
        Setting::new("RUST_LOG", text("RUST_LOG"), or_default("RUST_LOG")),
        Setting::new(
            "LOG_FORMAT",
            text("LOG_FORMAT").unwrap_or_else(|| "text".to_owned()),
            or_default("LOG_FORMAT"),
        ),
    ]
}

/// Calls `each` with every value below a key, and with that value's own key.
fn flatten(key: &str, value: Value, each: &mut impl FnMut(String, Value)) {
    match value {
        Value::Object(values) if !values.is_empty() => {
            for (name, value) in values {
                let key = match key {
                    "" => name,
                    section => format!("{section}.{name}"),
                };
                flatten(&key, value, each);
            }
        }
        // Keys and certificates are only reported as set or not set.
        value if key.starts_with("tls.") || key == "secret_key" => {
            let shown = if value.is_null() { "not set" } else { "set" };
            each(key.to_owned(), shown.into());
        }
        value => each(key.to_owned(), value),
    }
}

/// Returns the source of a value in Rocket's configuration.
fn source(figment: &Figment, environment: &Environment, key: &str) -> String {
    let Some(metadata) = figment.find_metadata(key) else {
        return DEFAULT.to_owned();
    };
    if let Some(path) = file(metadata) {
        return path;
    }
    if metadata.name == COMMAND_LINE {
        return COMMAND_LINE.to_owned();
    }
    if metadata.name.contains("environment variable") {
        let section = key.split('.').next().unwrap_or(key);
        return environment.source_of_set(&format!("ROCKET_{}", section.to_uppercase()));
    }
    DEFAULT.to_owned()
}

/// Returns the path of the settings file, relative to the working directory if it is there.
fn file(metadata: &Metadata) -> Option<String> {
    let path = metadata.source.as_ref()?.file_path()?;
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(&here).unwrap_or(path);
    Some(path.display().to_string())
}
