//! How tokens travel, and what browsers forget after a logout.

use serde::{Deserialize, Serialize};

/// How a session's token travels between the server and its client.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::{SessionConfig, Transport};
///
/// let mut config = SessionConfig::default();
/// assert_eq!(config.transport, Transport::Cookie);
/// config.transport = Transport::Both;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// In the session cookie, for browsers. `Authorization` is not read.
    #[default]
    Cookie,
    /// In the header `Authorization: Bearer <token>` (RFC 6750), for apps and command lines. No
    /// cookie is read or sent. The application hands the token out with
    /// [`Session::token_once`](crate::Session::token_once).
    Bearer,
    /// In either. A request that presents a token in `Authorization` is a bearer request: its
    /// cookies do not count, and it is never answered with a cookie.
    Both,
}

impl Transport {
    pub(crate) fn takes_cookies(self) -> bool {
        self != Self::Bearer
    }

    pub(crate) fn takes_bearer(self) -> bool {
        self != Self::Cookie
    }
}

/// What browsers forget after a logout: a directive of the header `Clear-Site-Data` (W3C). Browsers
/// follow it over HTTPS only, and ignore directives that they do not know.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::{SessionConfig, SiteData};
///
/// let mut config = SessionConfig::default();
/// config.clear_site_data = vec![SiteData::Cache, SiteData::Storage];
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SiteData {
    /// Cached responses of the origin, and pages to which the user could go back.
    Cache,
    /// Which client hints the site has asked for.
    ClientHints,
    /// All cookies of the registrable domain: those of the application, and those of other hosts
    /// and applications of the domain.
    Cookies,
    /// Reloads the origin's open pages.
    ExecutionContexts,
    /// The origin's local and session storage, databases and service workers.
    Storage,
    /// Everything, including what browsers add to the list later.
    #[serde(rename = "*")]
    All,
}

impl SiteData {
    /// Returns the value of `Clear-Site-Data`, or `None` if there is nothing to clear.
    pub(crate) fn header(list: &[Self]) -> Option<String> {
        let quoted = list.iter().map(|data| format!("\"{}\"", data.name()));
        let value = quoted.collect::<Vec<_>>().join(", ");
        (!value.is_empty()).then_some(value)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::ClientHints => "clientHints",
            Self::Cookies => "cookies",
            Self::ExecutionContexts => "executionContexts",
            Self::Storage => "storage",
            Self::All => "*",
        }
    }
}

#[cfg(test)]
mod tests {
    use rocket::serde::json::to_string;

    use super::*;

    #[test]
    fn a_directive_has_the_same_name_in_settings_and_in_the_header() {
        for data in [
            SiteData::Cache,
            SiteData::ClientHints,
            SiteData::Cookies,
            SiteData::ExecutionContexts,
            SiteData::Storage,
            SiteData::All,
        ] {
            assert_eq!(SiteData::header(&[data]), to_string(&data).ok());
        }
        let some = [SiteData::Cache, SiteData::Storage];
        let header = SiteData::header(&some);
        assert_eq!(header.as_deref(), Some(r#""cache", "storage""#));
        assert_eq!(SiteData::header(&[]), None);
    }
}
