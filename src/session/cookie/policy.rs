//! The cookie's attributes, how it is written, and how it is found in a request.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use rocket::http::{Cookie, SameSite as RocketSameSite};
use rocket::time::Duration;
use serde::{Deserialize, Serialize};

use crate::session::error::ConfigError;

/// The white space that is ignored around a cookie's name and value.
const BLANKS: [char; 2] = [' ', '\t'];

/// `[default.sessions.cookie]`: the attributes of the session cookie. It is always `HttpOnly`
/// (OWASP ASVS 5.0, 3.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CookieConfig {
    /// The cookie's name. Default `__Host-session` when secure, `session` when not.
    pub name: Option<String>,
    /// Whether browsers send the cookie over HTTPS only. Default `true`, in the debug profile
    /// `false`.
    ///
    /// Without it, anyone who can observe one unencrypted request has the session (ASVS 5.0,
    /// 3.3.1).
    pub secure: Option<bool>,
    /// Which requests from other sites carry the cookie. Default [`SameSite::Lax`].
    pub same_site: SameSite,
    /// The path for which the cookie is sent. Default `/`.
    pub path: Option<String>,
    /// The domain whose hosts receive the cookie. Default none: this host only.
    ///
    /// If set, every host of the domain can read and set the session cookie.
    pub domain: Option<String>,
    /// Whether a page that is embedded in other sites has a cookie per embedding site (CHIPS).
    /// Browsers that block cookies of third parties accept such a cookie. Requires `same_site =
    /// "none"` and `secure`. Default `false`.
    pub partitioned: bool,
}

/// The `SameSite` attribute (RFC 6265bis, section 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Sent with no request from another site, not even when a link is followed.
    Strict,
    /// Sent from another site only when a link is followed.
    #[default]
    Lax,
    /// Sent always, which allows cross-site request forgery (ASVS 5.0, 3.3.2). Requires `secure`.
    None,
}

impl CookieConfig {
    /// Returns the configuration with the default name for the cookie of a kind of session.
    pub(in crate::session) fn of_kind(self, kind: &str, debug: bool) -> Self {
        let name = self.name.clone().unwrap_or_else(|| {
            let unnamed = self.effective(debug).name.unwrap_or_default();
            format!("{unnamed}-{kind}")
        });
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Returns the configuration with the profile's defaults filled in.
    pub(in crate::session) fn effective(&self, debug: bool) -> Self {
        let secure = self.secure.unwrap_or(!debug);
        let default_name = if secure { "__Host-session" } else { "session" };
        Self {
            name: Some(self.name.clone().unwrap_or_else(|| default_name.into())),
            secure: Some(secure),
            path: Some(self.path.clone().unwrap_or_else(|| "/".into())),
            ..self.clone()
        }
    }
}

/// Attributes of the cookie that have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookiePolicy {
    name: String,
    secure: bool,
    same_site: RocketSameSite,
    path: String,
    domain: Option<String>,
    partitioned: bool,
}

impl CookiePolicy {
    /// Fills in the defaults of the profile and refuses contradictory attributes.
    pub(crate) fn new(config: &CookieConfig, debug: bool) -> Result<Self, ConfigError> {
        let secure = config.secure.unwrap_or(!debug);
        let default_name = if secure { "__Host-session" } else { "session" };
        let policy = Self {
            name: config.name.clone().unwrap_or_else(|| default_name.into()),
            secure,
            same_site: match config.same_site {
                SameSite::Strict => RocketSameSite::Strict,
                SameSite::Lax => RocketSameSite::Lax,
                SameSite::None => RocketSameSite::None,
            },
            path: config.path.clone().unwrap_or_else(|| "/".into()),
            domain: config.domain.clone(),
            partitioned: config.partitioned,
        };
        policy.check()?;
        Ok(policy)
    }

    /// Returns a warning if the name has no prefix, which is allowed but weak: a sibling host or an
    /// unencrypted connection can then set the cookie (OWASP ASVS 5.0, 3.3.1).
    pub(crate) fn warning(&self) -> Option<String> {
        (self.secure && !self.has_prefix("__Host-") && !self.has_prefix("__Secure-")).then(|| {
            format!(
                "sessions.cookie.name = {:?}: other hosts of the domain can set this cookie; \
                 browsers prevent that if the name begins with __Host- or, for a cookie with a \
                 domain or a path, __Secure-",
                self.name
            )
        })
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        let name = self.name.as_bytes();
        name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    }

    /// Checks the attributes against RFC 6265bis, sections 4.1.1 (syntax), 4.1.2.7 (`SameSite`) and
    /// 4.1.3 (prefixes).
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: &str, allowed: &str| {
            let key = format!("sessions.cookie.{key}");
            Err(ConfigError::new(key, format!("{value:?}"), allowed))
        };
        let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_token) {
            return refuse(
                "name",
                &self.name,
                "must consist of letters, digits and !#$%&'*+-.^_`|~",
            );
        }
        let is_attribute = |c: char| c != ';' && (c.is_ascii_graphic() || c == ' ');
        if !self.path.starts_with('/') || !self.path.chars().all(is_attribute) {
            return refuse(
                "path",
                &self.path,
                "must begin with / and contain only printable ASCII characters other than ;",
            );
        }
        let is_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if let Some(domain) = &self.domain
            && (domain.is_empty() || !domain.chars().all(is_host))
        {
            return refuse("domain", domain, "must be a host name, such as example.com");
        }
        if self.same_site == RocketSameSite::None && !self.secure {
            return refuse(
                "same_site",
                "none",
                "requires sessions.cookie.secure = true (browsers reject it otherwise)",
            );
        }
        if self.partitioned && self.same_site != RocketSameSite::None {
            let allowed = "requires sessions.cookie.same_site = \"none\" (a partitioned cookie is \
                           for pages that other sites embed)";
            return Err(ConfigError::new(
                "sessions.cookie.partitioned",
                true,
                allowed,
            ));
        }
        if self.has_prefix("__Host-") {
            if !self.secure {
                return refuse(
                    "name",
                    &self.name,
                    "the prefix __Host- requires sessions.cookie.secure = true",
                );
            }
            if let Some(domain) = &self.domain {
                return refuse(
                    "domain",
                    domain,
                    &format!(
                        "the prefix of sessions.cookie.name = {:?} allows no domain; \
                         name the cookie __Secure-session",
                        self.name
                    ),
                );
            }
            if self.path != "/" {
                return refuse(
                    "path",
                    &self.path,
                    &format!(
                        "the prefix of sessions.cookie.name = {:?} allows only /; \
                         name the cookie __Secure-session",
                        self.name
                    ),
                );
            }
        }
        if self.has_prefix("__Secure-") && !self.secure {
            return refuse(
                "name",
                &self.name,
                "the prefix __Secure- requires sessions.cookie.secure = true",
            );
        }
        Ok(())
    }

    /// Returns the cookie that carries a new token. Browsers keep it until the absolute deadline, or
    /// until they are closed.
    ///
    /// Only the server enforces the idle deadline. A cookie that followed it would have to be sent
    /// again in response to requests that only read, and could then undo a logout (I2).
    pub(crate) fn issue(
        &self,
        value: String,
        absolute_deadline: DateTime<Utc>,
        now: DateTime<Utc>,
        browser_session: bool,
    ) -> Cookie<'static> {
        let seconds = (absolute_deadline - now).num_seconds().max(0);
        self.build(
            value,
            (!browser_session).then_some(Duration::seconds(seconds)),
        )
    }

    /// Returns the cookie that removes the session cookie from the browser.
    pub(crate) fn removal(&self) -> Cookie<'static> {
        self.build(String::new(), Some(Duration::ZERO))
    }

    fn build(&self, value: String, max_age: Option<Duration>) -> Cookie<'static> {
        let mut cookie = Cookie::build((self.name.clone(), value))
            .http_only(true)
            .secure(self.secure)
            .same_site(self.same_site)
            .path(self.path.clone());
        if self.partitioned {
            cookie = cookie.partitioned(true);
        }
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.clone());
        }
        cookie.build()
    }

    /// Returns the values of all session cookies in the `Cookie` headers, in the order sent. A
    /// browser sends several if cookies of different paths or domains match.
    ///
    /// Only space and tab are trimmed, as browsers do (RFC 6265bis, section 5.6). A name with other
    /// white space before it is a different name, to which browsers apply no prefix rules.
    pub(crate) fn candidates<'h>(
        &self,
        headers: impl Iterator<Item = &'h str>,
    ) -> impl Iterator<Item = &'h str> {
        headers
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| name.trim_matches(BLANKS) == self.name)
            .map(|(_, value)| value.trim_matches(BLANKS))
    }

    /// Returns the attributes of a cookie beside this one, whose name is this one's and `suffix`.
    pub(super) fn followed_by(&self, suffix: &str) -> Self {
        Self {
            name: format!("{}{suffix}", self.name),
            ..self.clone()
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
