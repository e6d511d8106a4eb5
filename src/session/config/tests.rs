use super::*;
use rocket::figment::providers::{Format, Toml};

fn read(toml: &str) -> Result<SessionConfig, String> {
    let figment = rocket::Config::figment()
        .merge(Toml::string(&format!("[default.sessions]\n{toml}")).nested())
        .select("release");
    SessionConfig::from_figment(&figment).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_pass_the_checks() {
    assert_eq!(read("").unwrap(), SessionConfig::default());
}

#[test]
fn a_refusal_names_the_key_and_the_allowed_values() {
    for (toml, key, allowed) in [
        ("idle_timout = '1h'", "idle_timout", "idle_timeout"),
        ("idle_timeout = 'soon'", "sessions.idle_timeout", "24h"),
        ("idle_timeout = '0s'", "sessions.idle_timeout", "1s"),
        ("idle_timeout = '31d'", "idle_timeout = \"31d\"", "to 30d"),
        ("idle_timeout = '31d 90m'", "= \"31d 1h 30m\"", "to 30d"),
        ("idle_timeout = 5", "sessions.idle_timeout", "24h"),
        ("touch_interval = '13h'", "sessions.touch_interval", "12h"),
        ("absolute_timeout = '11y'", "sessions.absolute_timeout", "y"),
        (
            "watch_interval = '99ms'",
            "sessions.watch_interval",
            "100ms",
        ),
        ("watch_interval = '61m'", "sessions.watch_interval", "1h"),
        ("stats_interval = '999ms'", "sessions.stats_interval", "0s,"),
        ("stats_interval = '999ms'", "sessions.stats_interval", "1s"),
        ("events_retention = '59m'", "events_retention", "1h"),
        ("pool_size = 9", "sessions.pool_size", "from 10"),
        (
            "anonymous_idle_timeout = '25h'",
            "anonymous_idle_timeout",
            "to 1d",
        ),
        ("anonymous_idle_timeout = '2m'", "touch_interval", "1m"),
        ("max_sessions_per_user = -1", "max_sessions_per_user", "u32"),
        ("on_session_limit = 'x'", "on_session_limit", "end_oldest"),
        ("workers = 0", "sessions.workers", "1 to 64"),
        ("max_batch = 1001", "sessions.max_batch", "1 to 1000"),
        ("max_queue = 0", "sessions.max_queue", "1 to 1000000"),
        ("pool_size = 'x'", "sessions.pool_size", "u32"),
        ("max_data_size = '1GiB'", "sessions.max_data_size", "16MiB"),
        ("on_undecodable = 'x'", "sessions.on_undecodable", "fresh"),
        ("cookie.http_only = false", "http_only", "same_site"),
        ("users = 'mine'", "sessions.users", "external"),
        ("url = 'mysql://a:secret@b/c'", "sessions.url", "sqlite://"),
        ("schema = 'pg_x'", "sessions.schema", "letter"),
        ("schema = 'a\"b'", "sessions.schema", "letter"),
        ("cookie.domain = 'a.b'", "sessions.cookie.domain", "__Host"),
        ("transport = 'header'", "sessions.transport", "bearer"),
        ("clear_site_data = ['cash']", "clear_site_data", "cache"),
        ("clear_site_data = 'cache'", "clear_site_data", "sequence"),
        (
            "cookie.partitioned = true",
            "sessions.cookie.partitioned",
            "same_site",
        ),
    ] {
        let message = read(toml).unwrap_err();
        assert!(
            message.contains(key) && message.contains(allowed),
            "{toml}: {message}"
        );
    }
}

#[test]
fn zero_switches_usage_off() {
    assert!(!read("stats_interval = '0s'").unwrap().records_usage());
    assert!(read("stats_interval = '1s'").unwrap().records_usage());
}

#[test]
fn a_setting_of_a_kind_counts_before_one_of_all_kinds_in_a_closer_profile() {
    let file = r#"
        [default.sessions]
        idle_timeout = "2h"
        [default.sessions.staff]
        idle_timeout = "15m"
        cookie.path = "/staff"
        [release.sessions]
        idle_timeout = "8h"
        absolute_timeout = "9h"
        [release.sessions.cookie]
        name = "__Secure-shop"
        path = "/shop"
        domain = "example.com"
        [release.sessions.staff]
        cookie.name = "__Secure-staff"
    "#;
    let figment = rocket::Config::figment()
        .merge(Toml::string(file).nested())
        .merge(("sessions.max_sessions_per_user", 7))
        .select("release");
    let staff = SessionConfig::of_kind(&figment, "staff").unwrap();
    let minutes = |duration: Duration| duration.as_secs() / 60;
    assert_eq!(minutes(staff.idle_timeout), 15);
    assert_eq!(minutes(staff.absolute_timeout), 9 * 60);
    assert_eq!(staff.max_sessions_per_user, 7);
    assert_eq!(staff.cookie.name.as_deref(), Some("__Secure-staff"));
    assert_eq!(staff.cookie.path.as_deref(), Some("/staff"));
    assert_eq!(staff.cookie.domain.as_deref(), Some("example.com"));

    // An environment variable for all kinds does not loosen one either.
    let environment = figment.merge((
        "sessions",
        rocket::figment::util::map!["idle_timeout" => "4h"],
    ));
    let environment = environment.select("release");
    let staff = SessionConfig::of_kind(&environment, "staff").unwrap();
    assert_eq!(minutes(staff.idle_timeout), 15);
    let shop = SessionConfig::from_figment(&environment).unwrap();
    assert_eq!(minutes(shop.idle_timeout), 4 * 60);
}

#[test]
fn a_kind_with_a_password_of_its_own_does_not_share_a_store() {
    let with = |text: &'static str| SessionConfig {
        password: Some(DatabasePassword::new(move || {
            Ok::<_, String>(text.to_owned())
        })),
        ..SessionConfig::default()
    };
    let (shop, staff) = (with("a"), with("a"));
    assert_eq!(SessionConfig::default().differs_in_store(&shop), None);
    assert_eq!(shop.clone().differs_in_store(&shop), None);
    assert_eq!(staff.differs_in_store(&shop).as_deref(), Some("password"));
    let refused = read("password = 'x'").unwrap_err();
    assert!(refused.contains("password"), "{refused}");
}
