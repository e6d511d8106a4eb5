//! What libpq is told when it connects to PostgreSQL: the URL, with what neither it nor libpq's own
//! environment and service file set. All of it holds for each of several hosts.

mod roots;
mod settings;

use std::sync::Once;
use std::time::Duration;

use settings::{Environment, Found, Settings};

/// How the start of a connection is to limit this program's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Limits {
    /// Ends what takes longer than the timeout, and what waits for a lock for a part of it.
    ByTimeout,
    /// What the role, the server, the URL and the environment set.
    AsGiven,
}

/// The share of the timeout that a statement may wait for a lock: what is left is for the other
/// requests of its batch, which are run again without it.
const LOCK_SHARE: u32 = 4;

/// Shortest time after which a connection is given up whose peer acknowledges nothing.
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of the server that limit a statement, with their values in milliseconds.
pub(in crate::store) fn limits(timeout: Duration) -> [(&'static str, u128); 2] {
    [
        ("statement_timeout", timeout.as_millis()),
        ("lock_timeout", (timeout / LOCK_SHARE).as_millis().max(1)),
    ]
}

/// The URL to connect with.
///
/// A connection whose peer is gone without a word is given up after twice the timeout, at least
/// 5 s (`tcp_user_timeout`), one on which nothing is sent after 8 s (`keepalives_…`); connecting
/// to a host after the timeout, at least 2 s (`connect_timeout`).
///
/// # Errors
/// When `sslrootcert=system` cannot be had; says why.
pub(in crate::store) fn location(
    url: &str,
    timeout: Duration,
    limits: Limits,
) -> Result<String, String> {
    let variable = |name: &str| std::env::var(name).ok();
    location_in(&variable, url, timeout, limits)
}

fn location_in(
    environment: &Environment<'_>,
    url: &str,
    timeout: Duration,
    limits: Limits,
) -> Result<String, String> {
    let mut settings = Settings::of(url, environment);
    roots::trust_the_systems(&mut settings, environment)?;
    let user_timeout = (2 * timeout).max(LEAST_USER_TIMEOUT).as_millis();
    // Not `application_name`, so that PGAPPNAME holds.
    settings.set_default("fallback_application_name", "rocket_diesel_sessions");
    // Whole seconds; libpq's documentation advises against less than 2.
    settings.set_default("connect_timeout", timeout.as_secs().max(2));
    settings.set_default("keepalives", 1);
    settings.set_default("keepalives_idle", 5);
    settings.set_default("keepalives_interval", 1);
    settings.set_default("keepalives_count", 3);
    settings.set_default("tcp_user_timeout", user_timeout);
    if limits == Limits::ByTimeout {
        limit_at_the_start(&mut settings, timeout);
    }
    Ok(settings.into_url())
}

/// Puts the limits into the start of the connection, for where a SET would reach a pooler's other
/// clients too. Of two settings of a name the server takes the last, which is the user's.
fn limit_at_the_start(settings: &mut Settings<'_>, timeout: Duration) {
    static WARNED: Once = Once::new();
    let setting = |(name, value)| format!("-c {name}={value}");
    let limits = limits(timeout).map(setting).join(" ");
    match settings.find("options") {
        Found::Value(own) => settings.set("options", &format!("{limits} {own}")),
        Found::Nothing => settings.set("options", &limits),
        Found::Unknown => WARNED.call_once(|| {
            tracing::warn!(
                "the service file that the database's connection names is not found where it is \
                 looked for (PGSERVICEFILE, ~/.pg_service.conf, PGSYSCONFDIR): set \
                 statement_timeout and lock_timeout for the role"
            );
        }),
    }
}

/// Returns whether a server, or a pooler in front of it, refuses connections because of [`Limits`].
pub(in crate::store) fn refuses_limits(reason: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str =
        "keepalives=1&keepalives_idle=5&keepalives_interval=1&keepalives_count=3&tcp_user_timeout";
    const NAME: &str = "fallback_application_name=rocket_diesel_sessions";

    fn at(url: &str, milliseconds: u64) -> String {
        let timeout = Duration::from_millis(milliseconds);
        location_in(&|_| None, url, timeout, Limits::AsGiven).unwrap()
    }

    fn limited(variables: &[(&str, &str)], url: &str) -> String {
        let variable = |name: &str| {
            let own = variables.iter().find(|(own, _)| *own == name);
            own.map(|(_, value)| (*value).to_owned())
        };
        location_in(&variable, url, Duration::from_secs(2), Limits::ByTimeout).unwrap()
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

    const LIMITS: &str = "options=-c%20statement_timeout%3D2000%20-c%20lock_timeout%3D500";

    #[test]
    fn limits_stand_before_options_of_the_url() {
        let plain = limited(&[], "postgres://h/d");
        assert!(plain.ends_with(&format!("&{LIMITS}")), "{plain}");
        let own = limited(
            &[],
            "postgres://h/d?options=-csearch_path%3Da&sslmode=disable",
        );
        let both = format!("?{LIMITS}%20-csearch_path%3Da&sslmode=disable&");
        assert!(own.contains(&both), "{own}");
        assert_eq!(limits(Duration::from_millis(1))[1], ("lock_timeout", 1));
    }

    #[test]
    fn limits_stand_before_options_of_the_environment() {
        let environment = [
            ("PGOPTIONS", "-c search_path=s"),
            ("PGCONNECT_TIMEOUT", "9"),
        ];
        let own = limited(&environment, "postgres://h/d");
        assert!(
            own.ends_with(&format!("&{LIMITS}%20-c%20search_path%3Ds")),
            "{own}"
        );
        assert!(!own.contains("connect_timeout"), "{own}");
        let url = limited(&environment, "postgres://h/d?options=-csearch_path%3Da");
        assert!(
            url.contains(&format!("?{LIMITS}%20-csearch_path%3Da&")),
            "{url}"
        );
    }

    #[test]
    fn what_a_service_sets_itself_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".pg_service.conf");
        let text = "[other]\noptions=-cx=y\n\n# ours\n[mine]\nhost=h\n\
                    options=-c search_path=s\nconnect_timeout=7\nkeepalives=0\n[third]\n";
        std::fs::write(&file, text).unwrap();
        let home = folder.path().display().to_string();
        let file = file.display().to_string();
        for (variables, url) in [
            (vec![("HOME", home.as_str())], "postgres:///d?service=mine"),
            (
                vec![("PGSERVICEFILE", &file), ("PGSERVICE", "mine")],
                "postgres:///d",
            ),
            (
                vec![
                    ("HOME", &home),
                    ("PGSERVICE", "other"),
                    ("PGOPTIONS", "-cz=z"),
                ],
                "postgres:///d?service=mine",
            ),
        ] {
            let own = limited(&variables, url);
            assert!(
                own.ends_with(&format!("&{LIMITS}%20-c%20search_path%3Ds")),
                "{own}"
            );
            assert!(
                !own.contains("connect_timeout") && !own.contains("keepalives="),
                "{own}"
            );
            assert!(own.contains("keepalives_idle=5"), "{own}");
        }
        // Where the service is not found, libpq may find it.
        let unknown = limited(&[("PGOPTIONS", "-cz=z")], "postgres:///d?service=mine");
        assert!(!unknown.contains("options"), "{unknown}");
        assert!(unknown.contains("keepalives=1"), "{unknown}");
    }
}
