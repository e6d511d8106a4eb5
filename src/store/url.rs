//! Parsing of `DATABASE_URL`. The scheme selects the database.

#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg(feature = "sqlite")]
pub(super) mod sqlite;

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StoreError;

const ALLOWED: &str =
    "allowed are sqlite://<file>, postgres://… and postgresql://… (see docs/operating.md)";

/// The URL of a database. `Display` and `Debug` show neither its password nor the parameters that a
/// user added.
///
/// Parsing refuses URLs that the database's client library would refuse or could misread: a `%`
/// without two hexadecimal digits, an `@` or `/` in a password, a port that is not a number, or an
/// in-memory SQLite database. The message says what to write instead and quotes no part of the URL.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://app:secret@db.internal/app".parse().unwrap();
/// assert_eq!(url.to_string(), "postgres://app@db.internal/app");
///
/// let refused = "postgres://app:100%@db.internal/app".parse::<DatabaseUrl>();
/// assert!(refused.unwrap_err().to_string().contains("%25"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseUrl {
    /// `sqlite://<file>`, unchanged.
    Sqlite(String),
    /// `postgres://…` or `postgresql://…`, unchanged.
    Postgres(String),
}

impl DatabaseUrl {
    /// Refuses unusable URLs, also in a value that was not created by parsing.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let checked = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(url) => sqlite::check(url),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => postgres::check(url),
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite(_) => Err(not_built_in("SQLite", "sqlite")),
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => Err(not_built_in("PostgreSQL", "postgres")),
        };
        checked.map_err(StoreError::Url)
    }

    /// Returns whether the URL names an SQLite file that does not exist and may be created.
    #[cfg(feature = "diesel")]
    pub(crate) fn is_missing_file(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(url) => sqlite::Location::of(url)
                .is_ok_and(|location| location.may_be_made() && !location.path.exists()),
            _ => false,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(StoreError::Url(format!("not a URL; {ALLOWED}")));
        };
        let url = match scheme {
            "sqlite" => Self::Sqlite(url.to_owned()),
            "postgres" | "postgresql" => Self::Postgres(url.to_owned()),
            // Other text may be part of a secret and is not quoted.
            _ if is_scheme(scheme) => {
                return Err(StoreError::Url(format!(
                    "unknown scheme {scheme:?}; {ALLOWED}"
                )));
            }
            _ => return Err(StoreError::Url(format!("not a URL; {ALLOWED}"))),
        };
        url.check()?;
        Ok(url)
    }
}

fn is_scheme(text: &str) -> bool {
    let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.len() <= 20 && text.bytes().all(is_of_scheme)
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn not_built_in(name: &str, feature: &str) -> String {
    format!("this build does not support {name}; build it with the feature {feature:?}")
}

/// Decodes `%xx`. `part` is the name of the decoded part, used in the error, which shows nothing of
/// the value.
#[cfg(feature = "diesel")]
pub(super) fn decode(part: &str, text: &str) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || u8::try_from(char::from(bytes.next()?).to_digit(16)?).ok();
        match (digit(), digit()) {
            (Some(0), Some(0)) => {
                return Err(format!("{part} contains %00, which is never allowed"));
            }
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            _ => {
                return Err(format!(
                    "{part} contains a % without two hexadecimal digits; write % as %25"
                ));
            }
        }
    }
    Ok(decoded)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(url) => f.write_str(url),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => f.write_str(&postgres::without_password(url)),
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => f.write_str("postgres://..."),
        }
    }
}

/// Reads a URL; the error says nothing of its value.
impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = String::deserialize(deserializer)?;
        url.trim().parse().map_err(|error| match error {
            StoreError::Url(reason) => D::Error::custom(reason),
            other => D::Error::custom(other),
        })
    }
}

/// Writes the URL as it is shown: without user parameters and password.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_url_error_lists_the_allowed_schemes() {
        for url in ["mysql://h/d", "host=h dbname=d", "sessions.db", ""] {
            let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(message.contains("postgres://"), "{url}: {message}");
            assert!(message.starts_with("DATABASE_URL:"), "{url}: {message}");
        }
    }

    #[test]
    fn i8_text_that_is_not_a_url_is_never_quoted() {
        for url in ["app:hunter2@h://d", "hunter2", "'hunter2'://d"] {
            let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{url}: {message}");
        }
    }
}
