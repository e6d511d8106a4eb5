//! What libpq is told when it connects to PostgreSQL: the URL, with what it does not set itself.
//! All of it holds for each of several hosts.

use std::time::Duration;

use super::url::postgres::split_credentials;

/// How the server is to limit this program's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    /// Ends what takes longer than the timeout, and what waits for a lock for a part of it.
    ByTimeout,
    /// What the role or the server sets.
    AsTheServerSays,
}

/// The share of the timeout that a statement may wait for a lock: what is left is for the other
/// requests of its batch, which are run again without it.
const LOCK_SHARE: u32 = 4;

/// Shortest time after which a connection is given up whose peer acknowledges nothing.
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// The URL to connect with.
///
/// A connection whose peer is gone without a word is given up after twice the timeout, at least
/// 5 s (`tcp_user_timeout`), one on which nothing is sent after 8 s (`keepalives_…`); connecting
/// to a host after the timeout, at least 2 s (`connect_timeout`).
pub(super) fn location(url: &str, timeout: Duration, limits: Limits) -> String {
    let user_timeout = (2 * timeout).max(LEAST_USER_TIMEOUT).as_millis();
    let mut location = Location::of(url);
    // Not `application_name`, so that PGAPPNAME holds.
    location.set_default("fallback_application_name", "rocket_diesel_sessions");
    // Whole seconds; libpq's documentation advises against less than 2.
    location.set_default("connect_timeout", timeout.as_secs().max(2));
    location.set_default("keepalives", 1);
    location.set_default("keepalives_idle", 5);
    location.set_default("keepalives_interval", 1);
    location.set_default("keepalives_count", 3);
    location.set_default("tcp_user_timeout", user_timeout);
    if limits == Limits::ByTimeout {
        // As parameters of the start, not by SET: this costs no round trip, and what a pooler in
        // transaction mode shares between its clients stays as it is. Of two settings of a name,
        // the server takes the last, which is the user's.
        let limits = format!(
            "-c%20statement_timeout%3D{}%20-c%20lock_timeout%3D{}",
            timeout.as_millis(),
            (timeout / LOCK_SHARE).as_millis().max(1)
        );
        location.prepend("options", &limits);
    }
    location.into_url()
}

/// Whether a server, or a pooler in front of it, refuses connections because of [`Limits`].
pub(super) fn refuses_limits(reason: &str) -> bool {
    const TEXTS: [&str; 3] = [
        // PgBouncer.
        "unsupported startup parameter",
        // Other poolers.
        "command-line options",
        // Other databases that speak PostgreSQL's protocol.
        "unrecognized configuration parameter",
    ];
    TEXTS.iter().any(|text| reason.contains(text))
}

/// A URL, and its parameters as they stand in it.
struct Location<'u> {
    place: &'u str,
    parameters: Vec<(&'u str, String)>,
}

impl<'u> Location<'u> {
    fn of(url: &'u str) -> Self {
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (_, place) = split_credentials(rest);
        let parameters = place.split_once('?').map_or("", |(_, text)| text);
        let end = url.len() - parameters.len();
        let pair = |pair: &'u str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name, value.to_owned())
        };
        Self {
            place: url[..end].trim_end_matches('?'),
            parameters: parameters
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(pair)
                .collect(),
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut String> {
        let is_it = |(own, _): &&mut (&str, String)| *own == name;
        let (_, value) = self.parameters.iter_mut().find(is_it)?;
        Some(value)
    }

    fn set_default(&mut self, name: &'u str, value: impl ToString) {
        if self.find(name).is_none() {
            self.parameters.push((name, value.to_string()));
        }
    }

    /// Puts `value` before what the URL has.
    fn prepend(&mut self, name: &'u str, value: &str) {
        match self.find(name) {
            Some(own) => *own = format!("{value}%20{own}"),
            None => self.parameters.push((name, value.to_owned())),
        }
    }

    fn into_url(self) -> String {
        let pair = |(name, value): (&str, String)| format!("{name}={value}");
        let parameters: Vec<String> = self.parameters.into_iter().map(pair).collect();
        format!("{}?{}", self.place, parameters.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str =
        "keepalives=1&keepalives_idle=5&keepalives_interval=1&keepalives_count=3&tcp_user_timeout";
    const NAME: &str = "fallback_application_name=rocket_diesel_sessions";

    fn at(url: &str, milliseconds: u64) -> String {
        let timeout = Duration::from_millis(milliseconds);
        location(url, timeout, Limits::AsTheServerSays)
    }

    #[test]
    fn what_the_url_does_not_set_is_added() {
        assert_eq!(
            at("postgres://h/d", 200),
            format!("postgres://h/d?{NAME}&connect_timeout=2&{TCP}=5000")
        );
        assert_eq!(
            at("postgres://u:p?1@h1:1,h2:2/d?sslmode=require", 10_000),
            format!(
                "postgres://u:p?1@h1:1,h2:2/d?sslmode=require&{NAME}&connect_timeout=10&{TCP}=20000"
            )
        );
        let own = "postgres://h/d?connect_timeout=9&tcp_user_timeout=1&keepalives=0";
        let rest = "keepalives_idle=5&keepalives_interval=1&keepalives_count=3";
        assert_eq!(at(own, 200), format!("{own}&{NAME}&{rest}"));
        assert_eq!(at("postgres://h/d?", 200), at("postgres://h/d", 200));
    }

    #[test]
    fn limits_stand_before_options_of_the_url() {
        let limited = |url| location(url, Duration::from_secs(2), Limits::ByTimeout);
        let limits = "options=-c%20statement_timeout%3D2000%20-c%20lock_timeout%3D500";
        let plain = limited("postgres://h/d");
        assert!(plain.ends_with(&format!("&{limits}")), "{plain}");
        let own = limited("postgres://h/d?options=-csearch_path%3Da&sslmode=disable");
        let both = format!("?{limits}%20-csearch_path%3Da&sslmode=disable&");
        assert!(own.contains(&both), "{own}");
        let short = location(
            "postgres://h/d",
            Duration::from_millis(1),
            Limits::ByTimeout,
        );
        assert!(short.contains("lock_timeout%3D1"), "{short}");
    }
}
