//! `DATABASE_URL`: which database, by its scheme.

use std::fmt;
use std::str::FromStr;

use super::StoreError;

const ALLOWED: &str =
    "allowed are sqlite://<file>, postgres://… and postgresql://… (see the README)";

/// A database, chosen by URL scheme. `Display` and `Debug` leave out user parameters and password.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://app:secret@db.internal/app".parse().unwrap();
/// assert_eq!(url.to_string(), "postgres://app@db.internal/app");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://<file>`, kept whole.
    Sqlite(String),
    /// `postgres://…` or `postgresql://…`, kept whole.
    Postgres(String),
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(StoreError::Url(format!("not a URL; {ALLOWED}")));
        };
        match scheme {
            "sqlite" if !cfg!(feature = "sqlite") => Err(not_built_in("SQLite", "sqlite")),
            "postgres" | "postgresql" if !cfg!(feature = "postgres") => {
                Err(not_built_in("PostgreSQL", "postgres"))
            }
            "sqlite" => sqlite(url, rest),
            "postgres" | "postgresql" => Ok(Self::Postgres(url.to_owned())),
            _ => Err(StoreError::Url(format!(
                "unknown scheme {scheme:?}; {ALLOWED}"
            ))),
        }
    }
}

fn sqlite(url: &str, file: &str) -> Result<DatabaseUrl, StoreError> {
    if file.is_empty() {
        return Err(StoreError::Url(
            "sqlite:// lacks the file's name, as in sqlite://sessions.db".to_owned(),
        ));
    }
    if file.starts_with(":memory:") || file.contains("mode=memory") {
        return Err(StoreError::Url(
            "an in-memory SQLite database belongs to one connection and cannot be shared by a \
             pool; name a file, as in sqlite://sessions.db"
                .to_owned(),
        ));
    }
    Ok(DatabaseUrl::Sqlite(url.to_owned()))
}

fn not_built_in(name: &str, feature: &str) -> StoreError {
    StoreError::Url(format!(
        "this build has no {name}; build it with the feature {feature:?}"
    ))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(url) => f.write_str(url),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Keeps scheme, user, hosts and database; drops the password and all parameters, since
/// `?password=` is one. Where it is in doubt what is the password, nothing is kept.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return String::new();
    };
    let (credentials, place) = split_credentials(rest);
    if place.contains('@') {
        return format!("{scheme}://...");
    }
    let place = place.split(['?', '#']).next().unwrap_or_default();
    match credentials {
        Some(credentials) => {
            let user = credentials.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => format!("{scheme}://{place}"),
    }
}

/// Splits what follows the scheme as libpq does: credentials end at the first `@`, unless a `/`
/// comes before it.
pub(super) fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    match rest.find(['@', '/']) {
        Some(end) if rest[end..].starts_with('@') => (Some(&rest[..end]), &rest[end + 1..]),
        _ => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        url.parse::<DatabaseUrl>().unwrap().to_string()
    }

    #[test]
    #[cfg(feature = "postgres")]
    fn the_password_is_never_shown() {
        assert_eq!(shown("postgres://u:p@h:5432/d"), "postgres://u@h:5432/d");
        assert_eq!(shown("postgres://u:p#1?2@h/d?x=1"), "postgres://u@h/d");
        assert_eq!(shown("postgres://u:p@1/2@h/d"), "postgres://...");
        assert_eq!(shown("postgres://u:p/1@h/d"), "postgres://...");
        assert_eq!(
            shown("postgresql://h1,h2/d?password=p"),
            "postgresql://h1,h2/d"
        );
        let debug = format!(
            "{:?}",
            "postgres://u:p4ss@h/d".parse::<DatabaseUrl>().unwrap()
        );
        assert!(!debug.contains("p4ss"), "{debug}");
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        for url in ["mysql://h/d", "host=h dbname=d", "sessions.db", ""] {
            let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(message.contains("postgres://"), "{url}: {message}");
            assert!(message.starts_with("DATABASE_URL:"), "{url}: {message}");
        }
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn sqlite_needs_a_file() {
        for url in ["sqlite://", "sqlite://:memory:", "sqlite://x?mode=memory"] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url}");
        }
    }
}
