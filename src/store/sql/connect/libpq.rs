//! The parameters passed to libpq: the URL, and defaults for what the URL, libpq's environment and
//! its service file do not set. They apply to each of several hosts.

mod each_host;
mod roots;
mod settings;

use std::sync::Once;
use std::time::Duration;

pub(super) use each_host::each_host;
use settings::{Environment, Found, Settings};

/// The limits of statements that are set when a connection starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Limits {
    /// Ends statements after the timeout, and waits for a lock after a part of it.
    ByTimeout,
    /// Keeps the limits of the role, the server, the URL and the environment.
    AsGiven,
}

/// The timeout divided by the longest wait for a lock. The rest of the time is for the other
/// requests of the batch, which run again without the locked row.
const LOCK_SHARE: u32 = 4;

/// Minimum time after which a connection whose peer acknowledges nothing is given up.
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the server settings that limit a statement, with their values in milliseconds.
pub(in crate::store) fn limits(timeout: Duration) -> [(&'static str, u128); 2] {
    [
        ("statement_timeout", timeout.as_millis()),
        ("lock_timeout", (timeout / LOCK_SHARE).as_millis().max(1)),
    ]
}

/// Returns the URL to connect with. A `password` replaces that of the URL.
///
/// A connection whose peer has silently disappeared is given up after twice the timeout, at least 5
/// s (`tcp_user_timeout`). An idle connection is given up after 8 s (`keepalives_…`), and
/// connecting to a host after the timeout, at least 2 s (`connect_timeout`).
///
/// # Errors
/// Fails with the reason if `sslrootcert=system` cannot be honoured.
pub(in crate::store) fn location(
    url: &str,
    password: Option<&str>,
    timeout: Duration,
    limits: Limits,
) -> Result<String, String> {
    let variable = |name: &str| std::env::var(name).ok();
    location_in(&variable, url, password, timeout, limits)
}

fn location_in(
    environment: &Environment<'_>,
    url: &str,
    password: Option<&str>,
    timeout: Duration,
    limits: Limits,
) -> Result<String, String> {
    let mut settings = Settings::of(url, environment);
    roots::trust_the_systems(&mut settings, environment)?;
    let user_timeout = (2 * timeout).max(LEAST_USER_TIMEOUT).as_millis();
    // Not `application_name`, which would override PGAPPNAME.
    settings.set_default("fallback_application_name", "rocket_diesel_sessions");
    // In whole seconds. libpq's documentation advises against less than 2.
    settings.set_default("connect_timeout", timeout.as_secs().max(2));
    settings.set_default("keepalives", 1);
    settings.set_default("keepalives_idle", 5);
    settings.set_default("keepalives_interval", 1);
    settings.set_default("keepalives_count", 3);
    settings.set_default("tcp_user_timeout", user_timeout);
    if let Some(password) = password {
        // As a parameter, it takes precedence over the one before the host.
        settings.set("password", password);
    }
    if limits == Limits::ByTimeout {
        limit_at_the_start(&mut settings, timeout);
    }
    Ok(settings.into_url())
}

/// Sets the limits with the connection's start, because a SET could also reach other clients of a
/// pooler. If a name is set twice, the server uses the last value, which is the user's.
fn limit_at_the_start(settings: &mut Settings<'_>, timeout: Duration) {
    static WARNED: Once = Once::new();
    let setting = |(name, value)| format!("-c {name}={value}");
    let limits = limits(timeout).map(setting).join(" ");
    match settings.find("options") {
        Found::Value(own) => settings.set("options", &format!("{limits} {own}")),
        Found::Nothing => settings.set("options", &limits),
        Found::Unknown => WARNED.call_once(|| {
            tracing::warn!(
                "the service of the database connection was not found (in PGSERVICEFILE, \
                 ~/.pg_service.conf or PGSYSCONFDIR): set statement_timeout and lock_timeout for \
                 the role"
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
        location_in(&|_| None, url, None, timeout, Limits::AsGiven).unwrap()
    }

    fn limited(variables: &[(&str, &str)], url: &str) -> String {
        let variable = |name: &str| {
            let own = variables.iter().find(|(own, _)| *own == name);
            own.map(|(_, value)| (*value).to_owned())
        };
        location_in(
            &variable,
            url,
            None,
            Duration::from_secs(2),
            Limits::ByTimeout,
        )
        .unwrap()
    }

    #[test]
    fn parameters_that_the_url_does_not_set_are_added() {
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
    fn a_supplied_password_replaces_the_urls_with_any_characters() {
        let with = |url, password| {
            let timeout = Duration::from_secs(2);
            location_in(&|_| None, url, Some(password), timeout, Limits::AsGiven).unwrap()
        };
        let odd = " %'\"\\@:/?#&=+;€\u{1F511}\n";
        let location = with("postgres://u:old@h/d?password=older&sslmode=disable", odd);
        assert!(!location.contains("older"), "{location}");
        let (_, parameters) = location.split_once('?').unwrap();
        let of = |pair: &'_ str| pair.strip_prefix("password=").map(str::to_owned);
        let encoded: Vec<String> = parameters.split('&').filter_map(of).collect();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "%-_./".contains(c);
        assert!(
            encoded.len() == 1 && encoded[0].chars().all(is_plain),
            "{encoded:?}"
        );
        let decoded = crate::store::url::decode("", &encoded[0]).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), odd);
        assert!(with("postgres://u@h/d", "p").ends_with("&password=p"));
    }

    const LIMITS: &str = "options=-c%20statement_timeout%3D2000%20-c%20lock_timeout%3D500";

    #[test]
    fn limits_precede_the_options_of_the_url() {
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
    fn limits_precede_the_options_of_the_environment() {
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
    fn parameters_that_a_service_sets_are_not_overridden() {
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
        // If the service is not found here, libpq may still find it.
        let unknown = limited(&[("PGOPTIONS", "-cz=z")], "postgres:///d?service=mine");
        assert!(!unknown.contains("options"), "{unknown}");
        assert!(unknown.contains("keepalives=1"), "{unknown}");
    }
}
