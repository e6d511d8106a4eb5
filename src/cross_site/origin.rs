//! [`Origin`]: the scheme, host and port of a page.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// An origin (RFC 6454): a scheme, a host, and a port if it is not the scheme's default.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::Origin;
///
/// assert!("https://app.example.com".parse::<Origin>().is_ok());
/// assert!("https://app.example.com/path".parse::<Origin>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin {
    is_https: bool,
    /// The host in lower case, with the port if it is not the scheme's default.
    authority: String,
}

impl Origin {
    /// Returns whether this is the origin of pages served under a `Host`, over either scheme.
    /// Behind a proxy that terminates TLS, the server does not know the scheme. Browsers know it,
    /// and treat a request from `http` to `https` as cross-site.
    pub(super) fn is_at(&self, host: &str) -> bool {
        without_default_port(self.is_https, host).eq_ignore_ascii_case(&self.authority)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

fn without_default_port(is_https: bool, authority: &str) -> &str {
    let port = if is_https { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(origin: &str) -> Result<Self, String> {
        let refusal = || {
            format!(
                "{origin:?} is not an origin; write http:// or https://, a host and, if needed, a port"
            )
        };
        let (scheme, authority) = origin.split_once("://").ok_or_else(refusal)?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") {
            return Err(refusal());
        }
        let is_authority = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(is_authority) {
            return Err(refusal());
        }
        let authority = without_default_port(is_https, authority).to_ascii_lowercase();
        Ok(Self {
            is_https,
            authority,
        })
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(origin: String) -> Result<Self, String> {
        origin.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        for wrong in [
            "https://a.example/",
            "a.example",
            "ftp://a.example",
            "https://",
            "null",
            "https://u@a",
        ] {
            let refusal = wrong.parse::<Origin>().unwrap_err();
            assert!(
                refusal.contains(wrong) && refusal.contains("https://"),
                "{refusal}"
            );
        }
        assert_eq!(
            "HTTPS://A.example:443".parse(),
            "https://a.example".parse::<Origin>()
        );
        assert_ne!(
            "http://a.example:443".parse(),
            "http://a.example".parse::<Origin>()
        );
    }
}
