//! Settings of the webhook: `[default.sessions.webhook]`.

use std::fmt;
use std::net::IpAddr;

use rocket::http::uri::Absolute;
use serde::{Deserialize, Serialize, Serializer};

use crate::session::error::ConfigError;

/// Minimum length of the secret in bytes.
const MIN_SECRET: usize = 32;

/// A receiver of events. What happens to the sessions of users is sent there with POST, as the JSON
/// of an [`EventRecord`](crate::store::EventRecord), signed in the header `X-Session-Signature`.
/// Needs the feature `webhook`.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::{SessionConfig, WebhookConfig};
///
/// let mut webhook = WebhookConfig::new(
///     "https://example.com/hooks/sessions",
///     "a secret of at least thirty-two bytes",
/// );
/// webhook.events = vec!["login".to_owned()];
/// let mut config = SessionConfig::default();
/// config.webhook = Some(webhook);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// The address: `https`, or `http` on this machine. Only its scheme, host and port are ever written,
    /// because some receivers have a secret in the path.
    #[serde(serialize_with = "without_path")]
    pub url: String,
    /// The secret that signs, of at least 32 bytes.
    #[serde(serialize_with = "hidden")]
    pub secret: String,
    /// The names of the events that are sent, see
    /// [`SessionEventKind::name`](crate::SessionEventKind::name). Default: all that are recorded.
    #[serde(default)]
    pub events: Vec<String>,
}

/// The secret is never written.
fn hidden<S: Serializer>(_: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("***")
}

fn without_path<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&site(url))
}

/// Returns an address with what follows its host left out.
fn site(url: &str) -> String {
    let parsed = Absolute::parse(url).ok();
    match parsed
        .as_ref()
        .and_then(|uri| Some((uri, uri.authority()?)))
    {
        Some((uri, host)) => format!("{}://{host}/…", uri.scheme()),
        None => "…".to_owned(),
    }
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("url", &site(&self.url))
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl WebhookConfig {
    /// Makes the settings of a webhook that gets all events that are recorded.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::WebhookConfig;
    ///
    /// let secret = "a secret of at least thirty-two bytes";
    /// let webhook = WebhookConfig::new("http://127.0.0.1:9000/", secret);
    /// assert!(!format!("{webhook:?}").contains(secret));
    /// ```
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: secret.into(),
            events: Vec::new(),
        }
    }

    /// Refuses values that cannot be used.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !cfg!(feature = "webhook") {
            let problem = "needs the feature \"webhook\" of rocket_diesel_sessions";
            return Err(ConfigError::unfit("sessions.webhook", problem));
        }
        if !is_fit(&self.url) {
            let allowed = "must be https://host/path, or http://… on this machine (127.0.0.1, ::1, \
                           localhost), without a user and a password";
            return Err(ConfigError::unfit("sessions.webhook.url", allowed));
        }
        if self.secret.len() < MIN_SECRET {
            let problem = format_args!(
                "has {} bytes; it must have at least {MIN_SECRET}",
                self.secret.len()
            );
            return Err(ConfigError::unfit("sessions.webhook.secret", problem));
        }
        let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
        let is_name = |name: &String| !name.is_empty() && name.chars().all(is_letter);
        match self.events.iter().find(|name| !is_name(name)) {
            None => Ok(()),
            Some(name) => Err(ConfigError::new(
                "sessions.webhook.events",
                format!("{name:?}"),
                "must be names of events, such as \"login\"",
            )),
        }
    }
}

/// Returns whether events may be sent to an address: they have personal data.
fn is_fit(url: &str) -> bool {
    let Ok(uri) = Absolute::parse(url) else {
        return false;
    };
    let Some(authority) = uri.authority() else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    authority.user_info().is_none()
        && !host.is_empty()
        && match uri.scheme() {
            "https" => true,
            "http" => is_here,
            _ => false,
        }
}

#[cfg(all(test, feature = "webhook"))]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least thirty-two bytes";

    #[test]
    fn i8_the_path_of_the_address_is_not_written() {
        for (url, shown) in [
            (
                "https://hooks.example.com:8443/T0/B1?key=x",
                "https://hooks.example.com:8443/…",
            ),
            ("http://[::1]:9000/T0", "http://[::1]:9000/…"),
            ("not an address/T0", "…"),
        ] {
            let webhook = WebhookConfig::new(url, SECRET);
            let written = serde_json::to_value(&webhook).unwrap();
            assert_eq!(written["url"], shown);
            let debug = format!("{webhook:?}");
            assert!(debug.contains(shown) && !debug.contains("T0"), "{debug}");
        }
    }

    #[test]
    fn i12_addresses_without_encryption_are_refused_unless_on_this_machine() {
        for url in [
            "https://example.com",
            "https://example.com:8443/hooks?x=1",
            "http://127.0.0.1:9000/",
            "http://[::1]:9000/",
            "http://localhost/",
        ] {
            assert!(WebhookConfig::new(url, SECRET).check().is_ok(), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "https://user:password@example.com/",
            "ftp://example.com/",
            "example.com",
            "https:///path",
            "",
        ] {
            let error = WebhookConfig::new(url, SECRET).check().unwrap_err();
            assert!(
                error.to_string().contains("sessions.webhook.url"),
                "{url}: {error}"
            );
            assert!(!error.to_string().contains("password@"), "{error}");
        }
    }

    #[test]
    fn i8_the_secret_is_neither_shown_nor_written() {
        let webhook = WebhookConfig::new("https://example.com/", SECRET);
        let json = serde_json::to_string(&webhook).unwrap();
        assert!(
            !json.contains(SECRET) && !format!("{webhook:?}").contains(SECRET),
            "{json}"
        );
        let short = WebhookConfig::new("https://example.com/", "short-secret").check();
        let error = short.unwrap_err().to_string();
        assert!(error.contains("sessions.webhook.secret"), "{error}");
        assert!(!error.contains("short-secret"), "{error}");
    }
}
