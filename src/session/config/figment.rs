//! Reading a section of Rocket's configuration and describing errors in it.

use rocket::figment::error::Kind;
use rocket::figment::value::Value;
use rocket::figment::{Error, Figment, Metadata};
use serde::de::DeserializeOwned;

use crate::session::error::SetupError;

/// Reads the section `name` of the figment's selected profile.
///
/// # Example
///
/// ```
/// use rocket::figment::Figment;
/// use rocket::figment::providers::{Format, Toml};
/// use rocket::serde::Deserialize;
/// use rocket_diesel_sessions::figment::section;
///
/// #[derive(Deserialize)]
/// #[serde(crate = "rocket::serde", deny_unknown_fields)]
/// struct Shop {
///     currency: String,
/// }
///
/// let of = |toml: &str| Figment::from(Toml::string(toml).nested());
/// let shop: Shop = section(&of("[default.shop]\ncurrency = 'EUR'"), "shop").unwrap();
/// assert_eq!(shop.currency, "EUR");
/// let error = section::<Shop>(&of("[default.shop]\ncurency = 'EUR'"), "shop").err().unwrap();
/// assert!(error.to_string().contains("allowed are currency"));
/// ```
///
/// # Errors
/// Fails if the section is not a table, or if it stands outside the profiles, where it would be
/// ignored. Fails if a key is unknown or a value has the wrong type.
pub fn section<T: DeserializeOwned>(figment: &Figment, name: &str) -> Result<T, SetupError> {
    check_table(figment, name)?;
    let section = figment.focus(name).extract();
    section.map_err(|error| SetupError::Figment(describe(name, &error)))
}

/// Refuses a section that is not a table or stands outside the profiles.
pub(super) fn check_table(figment: &Figment, name: &str) -> Result<(), SetupError> {
    if figment.profile() != name && figment.profiles().any(|profile| profile == name) {
        return Err(SetupError::Figment(format!(
            "[{name}]: is ignored, because a section must belong to a profile; write \
             [default.{name}], or the name of another profile instead of default"
        )));
    }
    if let Ok(value) = figment.find_value(name)
        && value.as_dict().is_none()
    {
        let place = place(name, figment.get_metadata(value.tag()));
        return Err(SetupError::Figment(format!(
            "{name}: is {} but must be a table, such as {{key = \"value\"}}{place}",
            kind(&value)
        )));
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Bool(..) => "a boolean",
        Value::Num(..) => "a number",
        Value::Array(..) => "a list",
        Value::Dict(..) => "a table",
        Value::Empty(..) => "empty",
    }
}

/// Describes a configuration error in one line: the key below `section`, the problem, and where the
/// value was set.
///
/// # Example
///
/// ```
/// use rocket::figment::Figment;
/// use rocket_diesel_sessions::figment::describe;
///
/// let error = Figment::new().merge(("port", "many")).extract_inner::<u16>("port").unwrap_err();
/// assert!(describe("shop", &error).starts_with("shop.port: "));
/// ```
pub fn describe(section: &str, error: &Error) -> String {
    let mut key = section.to_owned();
    for part in &error.path {
        if !key.is_empty() {
            key.push('.');
        }
        key.push_str(part);
    }
    let problem = match &error.kind {
        Kind::UnknownField(found, allowed) => {
            let is_named = error.path.last() == Some(found);
            unknown("key", Some(&**found).filter(|_| !is_named), allowed)
        }
        Kind::UnknownVariant(found, allowed) => unknown("value", Some(found), allowed),
        kind => kind.to_string(),
    };
    let hint = if problem.contains("expected a duration") {
        ", such as \"30s\", \"5m\" or \"24h\""
    } else {
        ""
    };
    let colon = if key.is_empty() { "" } else { ": " };
    let place = place(&key, error.metadata.as_ref());
    format!("{key}{colon}{problem}{hint}{place}")
}

fn unknown(what: &str, found: Option<&str>, allowed: &[&str]) -> String {
    let found = found.map_or_else(String::new, |found| format!(" `{found}`"));
    format!("unknown {what}{found}; allowed are {}", allowed.join(", "))
}

/// Returns whether a value comes from the environment variables that begin with `ROCKET_`.
///
/// # Example
///
/// ```
/// use rocket::figment::Metadata;
/// use rocket_diesel_sessions::figment::is_environment;
///
/// assert!(is_environment(&Metadata::named("`ROCKET_` environment variable(s)")));
/// assert!(!is_environment(&Metadata::named("TOML file")));
/// ```
pub fn is_environment(metadata: &Metadata) -> bool {
    metadata.name.contains("environment variable")
}

/// Returns where `key` was set, in parentheses.
///
/// # Example
///
/// ```
/// use rocket::figment::Metadata;
/// use rocket_diesel_sessions::figment::place;
///
/// let file = Metadata::from("TOML file", "Rocket.toml");
/// assert_eq!(place("shop.currency", Some(&file)), " (in TOML file Rocket.toml)");
/// assert_eq!(place("shop.currency", None), "");
/// ```
pub fn place(key: &str, metadata: Option<&Metadata>) -> String {
    let Some(metadata) = metadata else {
        return String::new();
    };
    let name = &metadata.name;
    match &metadata.source {
        Some(source) => format!(" (in {name} {source})"),
        // The metadata covers all variables with the prefix, so the key's name is added.
        None if is_environment(metadata) && !key.is_empty() => {
            let variable = key.split('.').next().unwrap_or(key).to_ascii_uppercase();
            format!(" (in the environment variable ROCKET_{variable})")
        }
        None => format!(" (in {name})"),
    }
}
