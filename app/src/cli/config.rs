//! `config check`: the effective settings, each with its source.

use std::collections::HashSet;
use std::path::Path;

use clap::Subcommand;
use rocket::Config;
use rocket::figment::Figment;
use rocket::figment::Metadata;
use rocket::serde::Serialize;
use rocket::serde::json::{Value, json, to_value};
use rocket_diesel_sessions_app::{self as app, Settings};

use super::terminal::output::say_json;
use super::terminal::table::Table;
use super::{Failure, say};

/// The source of a setting that is not set.
const DEFAULT: &str = "default";

/// The file in which the debug profile keeps the secret that it has made.
const SECRET_FILE: &str = ".session-secret";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Prints the effective settings, each with its source, or the reason for which a start would
    /// refuse them. Does not connect to the database.
    #[command(after_help = "\
Example:
  rocket_diesel_sessions config check --json | jq '.settings[] | select(.source != \"default\")'")]
    Check {
        /// Prints JSON: `{"settings": [{"key", "value", "source"}]}`.
        #[arg(long)]
        json: bool,
    },
}

/// The environment before `.env` was read: the names of its variables, in upper case.
pub(super) struct Environment(HashSet<String>);

impl Environment {
    pub(super) fn now() -> Self {
        let name = |(name, _): (std::ffi::OsString, _)| name.to_string_lossy().to_uppercase();
        Self(std::env::vars_os().map(name).collect())
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

/// A line of the list.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Setting {
    key: String,
    value: Value,
    source: String,
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

pub(super) fn run(command: &Command, environment: &Environment) -> Result<(), Failure> {
    let Command::Check { json } = *command;
    let settings = collect(&Settings::inspect()?, environment)?;
    if json {
        return say_json(&json!({ "settings": settings }));
    }
    let mut table = Table::of_rows(&["SETTING", "VALUE", "SOURCE"], 1);
    for setting in settings {
        let value = match setting.value {
            Value::String(text) => text,
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        table.row([setting.key, value, setting.source]);
    }
    say(table)
}

fn collect(settings: &Settings, environment: &Environment) -> Result<Vec<Setting>, Failure> {
    let figment = &settings.figment;
    let mut list = of_environment(settings, environment);
    let sections = [
        ("", to_value(app::rocket_config(figment)?)?),
        ("sessions", to_value(settings.sessions.effective(figment))?),
        (
            "app",
            to_value(
                settings
                    .app
                    .effective(figment.profile() == Config::DEBUG_PROFILE),
            )?,
        ),
    ];
    for (section, values) in sections {
        flatten(section, values, &mut |key, value| {
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
