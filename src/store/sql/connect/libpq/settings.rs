//! The sources of libpq's parameters: the URL, the service that it names, and the environment.

use std::path::PathBuf;

use crate::store::url::decode;
use crate::store::url::postgres::split_credentials;

/// A lookup of environment variables.
pub(super) type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// The parameters, among those used here, that libpq also reads from the environment.
const VARIABLES: [(&str, &str); 6] = [
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("options", "PGOPTIONS"),
    ("service", "PGSERVICE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// The result of looking up a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Value(String),
    Nothing,
    /// The parameter may be set by a service whose definition was not found.
    Unknown,
}

enum Service {
    None,
    Unknown,
    /// Names and values. If a name occurs twice, libpq uses the first value.
    Known(Vec<(String, String)>),
}

/// A URL, its parameters in their encoded form, and the sources behind it.
pub(super) struct Settings<'u> {
    place: &'u str,
    parameters: Vec<(&'u str, String)>,
    service: Service,
    environment: &'u Environment<'u>,
}

impl<'u> Settings<'u> {
    pub(super) fn of(url: &'u str, environment: &'u Environment<'u>) -> Self {
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (_, place) = split_credentials(rest);
        let parameters = place.split_once('?').map_or("", |(_, text)| text);
        let end = url.len() - parameters.len();
        let pair = |pair: &'u str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name, value.to_owned())
        };
        let mut settings = Self {
            place: url[..end].trim_end_matches('?'),
            parameters: parameters
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(pair)
                .collect(),
            service: Service::None,
            environment,
        };
        if let Found::Value(name) = settings.find("service") {
            settings.service = service(&name, environment);
        }
        settings
    }

    /// Looks a parameter up in libpq's sources, in libpq's order.
    pub(super) fn find(&self, name: &str) -> Found {
        if let Some(value) = self.of_url(name) {
            return Found::Value(value);
        }
        match &self.service {
            Service::Known(pairs) => {
                if let Some((_, value)) = pairs.iter().find(|(own, _)| own == name) {
                    return Found::Value(value.clone());
                }
            }
            Service::Unknown => return Found::Unknown,
            Service::None => {}
        }
        let variable = VARIABLES.iter().find(|(own, _)| *own == name);
        variable
            .and_then(|(_, variable)| (self.environment)(variable))
            .map_or(Found::Nothing, Found::Value)
    }

    /// Returns a parameter of the URL. If a name occurs twice, the last value counts, as for libpq.
    fn of_url(&self, name: &str) -> Option<String> {
        let (_, value) = self.parameters.iter().rfind(|(own, _)| *own == name)?;
        let decoded = decode(name, value).ok()?;
        Some(String::from_utf8_lossy(&decoded).into_owned())
    }

    /// Sets a parameter that no source sets.
    pub(super) fn set_default(&mut self, name: &'static str, value: impl ToString) {
        // Also used if a service that was not found might set it.
        let is_set = matches!(self.find(name), Found::Value(_));
        if !is_set {
            self.parameters.push((name, value.to_string()));
        }
    }

    /// Sets a parameter in the URL, which takes precedence over all other sources.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        let encoded = encode(value);
        match self.parameters.iter_mut().rfind(|(own, _)| *own == name) {
            Some((_, own)) => *own = encoded,
            None => self.parameters.push((name, encoded)),
        }
    }

    pub(super) fn into_url(self) -> String {
        let pair = |(name, value): (&str, String)| format!("{name}={value}");
        let parameters: Vec<String> = self.parameters.into_iter().map(pair).collect();
        format!("{}?{}", self.place, parameters.join("&"))
    }
}

/// Percent-encodes all characters that have a meaning in a URL.
fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Looks a service up in the files that libpq reads. The configuration directory compiled into the
/// system's libpq is not known here.
fn service(name: &str, environment: &Environment<'_>) -> Service {
    let own = environment("PGSERVICEFILE").map(PathBuf::from).or_else(|| {
        let home = PathBuf::from(environment("HOME")?);
        Some(home.join(".pg_service.conf"))
    });
    let shared = environment("PGSYSCONFDIR").map(|dir| PathBuf::from(dir).join("pg_service.conf"));
    [own, shared]
        .into_iter()
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .find_map(|text| section(&text, name))
        .map_or(Service::Unknown, Service::Known)
}

fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let heading = format!("[{name}]");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with(&heading))?;
    let pairs = lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    Some(pairs.collect())
}
