//! Classifies failures to connect, and removes passwords from their messages.

use crate::store::{DatabaseUrl, StoreError};

/// Converts an error into a failure to connect.
pub(super) fn connecting(url: &DatabaseUrl, error: impl std::fmt::Display) -> StoreError {
    let text = error.to_string();
    let permanent = match url {
        // Only a locked file may open a moment later.
        DatabaseUrl::Sqlite(_) => !text.contains("locked"),
        DatabaseUrl::Postgres(_) => !waiting_mends(&text),
    };
    StoreError::Connect {
        database: url.to_string(),
        reason: without_secrets(url, text.trim()),
        permanent,
    }
}

/// Converts an error into a failure to connect to PostgreSQL with `location`, which may have a
/// password that the URL lacks.
#[cfg(feature = "postgres")]
pub(super) fn connecting_by(
    url: &DatabaseUrl,
    location: &str,
    error: impl std::fmt::Display,
) -> StoreError {
    let secrets = crate::store::url::postgres::secrets(location);
    let mut error = connecting(url, error);
    if let StoreError::Connect { reason, .. } = &mut error {
        *reason = blank(reason, &url.to_string(), &secrets);
    }
    error
}

/// Returns the failure to connect for want of a password that the application supplies. It may supply
/// one later.
#[cfg(feature = "postgres")]
pub(super) fn without_password(url: &DatabaseUrl, reason: &str) -> StoreError {
    StoreError::Connect {
        database: url.to_string(),
        reason: without_secrets(url, reason),
        permanent: false,
    }
}

/// Converts an error into a failed migration.
pub(in crate::store) fn migrating(
    url: &DatabaseUrl,
    error: &(impl std::fmt::Display + ?Sized),
) -> StoreError {
    StoreError::Migration {
        database: url.to_string(),
        reason: without_secrets(url, &error.to_string()),
    }
}

/// Parts of messages about failures that may go away by waiting, in lower case.
const MENDABLE: [&str; 33] = [
    // The network and the operating system.
    "connection refused",
    "connection reset",
    "connection timed out",
    "connection aborted",
    "operation timed out",
    "timeout expired",
    "no route to host",
    "unreachable",
    "host is down",
    "network is down",
    "broken pipe",
    "resource temporarily unavailable",
    "cannot assign requested address",
    "too many open files",
    "could not translate host name",
    // libpq.
    "server closed the connection",
    "could not receive data from server",
    "could not send",
    "ssl syscall error",
    "session is read-only",
    "session is not read-only",
    "server is in hot standby mode",
    "server is not in hot standby mode",
    // PostgreSQL. The first is followed by a state: starting up, shutting down, recovering.
    "the database system is",
    "too many clients",
    "too many connections",
    "connection slots are reserved",
    "terminating connection",
    "canceling authentication due to timeout",
    // Poolers.
    "cannot connect to server",
    "connect failed",
    "no more connections allowed",
    "query_wait_timeout",
];

/// Returns whether a failure to connect to PostgreSQL may go away by waiting. libpq reports only
/// text, without the SQLSTATE. The text has a line for each address tried, and one such line is
/// enough.
fn waiting_mends(text: &str) -> bool {
    let text = text.to_lowercase();
    text.lines()
        .any(|line| MENDABLE.iter().any(|part| line.contains(part)) || awaits_a_socket(line))
}

/// Returns whether a socket is missing from an existing directory.
fn awaits_a_socket(line: &str) -> bool {
    if !line.contains("no such file or directory") {
        return false;
    }
    let socket = line
        .split_once("on socket \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let folder = socket.and_then(|(path, _)| std::path::Path::new(path).parent());
    folder.is_some_and(std::path::Path::is_dir)
}

/// Returns whether a server's message is unknown here. It may mean "starting up" in another
/// language.
pub(super) fn is_unknown(error: &StoreError) -> bool {
    const KNOWN: [&str; 8] = [
        "does not exist",
        "authentication failed",
        "no pg_hba.conf entry",
        "pg_hba.conf rejects",
        "not permitted to log in",
        "permission denied",
        "not currently accepting connections",
        "unrecognized configuration parameter",
    ];
    let StoreError::Connect {
        reason, permanent, ..
    } = error
    else {
        return false;
    };
    // A server's own message follows its severity, a colon and two spaces.
    *permanent && reason.contains(":  ") && !KNOWN.iter().any(|text| reason.contains(text))
}

/// Minimum length of a secret that is also searched inside words.
const LEAST_SECRET: usize = 4;

/// Blanks the environment's password and everything that looks like a URL, in a message about a
/// connection whose URL is unknown.
pub(super) fn without_urls(text: &str) -> String {
    let of_environment = std::env::var("PGPASSWORD").ok();
    blank(text, "", &Vec::from_iter(of_environment))
}

/// Blanks the passwords of the URL and of the environment, and everything that looks like a URL.
fn without_secrets(url: &DatabaseUrl, text: &str) -> String {
    let secrets = match url {
        DatabaseUrl::Sqlite(_) => return text.to_owned(),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => crate::store::url::postgres::secrets(url),
        #[cfg(not(feature = "postgres"))]
        DatabaseUrl::Postgres(_) => Vec::new(),
    };
    let of_environment = std::env::var("PGPASSWORD").ok();
    let secrets: Vec<String> = secrets.into_iter().chain(of_environment).collect();
    blank(text, &url.to_string(), &secrets)
}

/// Blanks `secrets` in a text, except those that are part of `shown`, which the message contains
/// anyway.
fn blank(text: &str, shown: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    secrets.retain(|secret| !secret.is_empty() && !shown.contains(secret));
    // Longest first, because one may be part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in &secrets {
        if secret.len() >= LEAST_SECRET {
            text = text.replace(secret, "...");
        }
    }
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '»' | '«' | '“' | '”');
    let mut blanked = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_end) {
        let word = piece.trim_end_matches(is_end);
        let end = &piece[word.len()..];
        // A quoted part of a secret, as in libpq's messages about text that it cannot parse.
        let is_quoted_part = word.len() >= LEAST_SECRET
            && end == "\""
            && !shown.contains(word)
            && secrets.iter().any(|secret| secret.contains(word));
        if word.contains("://") || is_quoted_part || secrets.contains(&word) {
            blanked.push_str("...");
        } else {
            blanked.push_str(word);
        }
        blanked.push_str(end);
    }
    blanked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starting_server_is_waited_for_but_a_wrong_password_is_not() {
        for text in [
            "connection to server at \"h\" (::1), port 1 failed: Connection refused\n\tIs the …?",
            "connection to server on socket \"/run/.s.PGSQL.1\" failed: No such file or directory",
            "could not translate host name \"db\" to address: Name or service not known",
            "connection to server failed: FATAL:  the database system is starting up",
            "connection to server failed: FATAL:  sorry, too many clients already",
            "connection to server failed: session is read-only",
            "FATAL:  password authentication failed for user \"u\"\nh2: Connection refused",
            "FATAL:  server login has been failing, cached error: connect failed",
        ] {
            assert!(waiting_mends(text), "{text}");
        }
        for text in [
            "FATAL:  password authentication failed for user \"u\"",
            "FATAL:  database \"d\" does not exist",
            "FATAL:  database \"d\" is not currently accepting connections",
            "connection to server on socket \"/no/.s.PGSQL.1\" failed: No such file or directory",
            "invalid URI query parameter: \"schema\"",
            "SSL error: certificate verify failed",
            "FATAL:  Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen",
        ] {
            assert!(!waiting_mends(text), "{text}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn i8_a_supplied_password_is_blanked_in_messages_of_libpq() {
        let url: DatabaseUrl = "postgres://app@h/d".parse().unwrap();
        let location = "postgres://app@h/d?password=s3c%20ret%25";
        let text = "invalid: \"s3c ret%\", in \"s3c%20ret%25\"";
        let StoreError::Connect { reason, .. } = connecting_by(&url, location, text) else {
            panic!("another error");
        };
        assert_eq!(reason, "invalid: \"...\", in \"...\"");
    }

    #[test]
    fn i8_every_secret_is_blanked_in_messages_of_libpq() {
        let secrets = ["s3cret%40@x", "abc", "app"].map(str::to_owned);
        for (text, expected) in [
            ("invalid token: \"s3cret%40@x\"", "invalid token: \"...\""),
            (
                "could not translate \"ret%40@x\"",
                "could not translate \"...\"",
            ),
            ("cannot read postgres://u:p@[::1/db", "cannot read ..."),
            ("in URI: \"postgres://u:p@[::1/db\"", "in URI: \"...\""),
            ("password \"abc\", abcd", "password \"...\", abcd"),
            ("role \"app\" does not exist", "role \"app\" does not exist"),
        ] {
            assert_eq!(blank(text, "postgres://app@h/d", &secrets), expected);
        }
    }
}
