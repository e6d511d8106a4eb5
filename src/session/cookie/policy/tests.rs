use super::*;

fn policy(config: &CookieConfig, debug: bool) -> CookiePolicy {
    CookiePolicy::new(config, debug).unwrap()
}

fn refusal(config: &CookieConfig) -> String {
    CookiePolicy::new(config, false).unwrap_err().to_string()
}

#[test]
fn the_default_cookie_is_a_host_cookie() {
    let now = Utc::now();
    let cookie = policy(&CookieConfig::default(), false).issue(
        "v".into(),
        now + chrono::TimeDelta::hours(1),
        now,
        false,
    );
    assert_eq!(
        cookie.to_string(),
        "__Host-session=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"
    );
    let cookie = policy(&CookieConfig::default(), true).removal();
    assert_eq!(
        cookie.to_string(),
        "session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
    );
}

#[test]
fn contradictory_attributes_are_refused_by_their_key() {
    let host = |change: fn(&mut CookieConfig)| {
        let mut config = CookieConfig::default();
        change(&mut config);
        refusal(&config)
    };
    let message = host(|c| c.domain = Some("example.com".into()));
    assert!(
        message.starts_with("sessions.cookie.domain = \"example.com\""),
        "{message}"
    );
    let message = host(|c| c.path = Some("/app".into()));
    assert!(message.starts_with("sessions.cookie.path"), "{message}");
    let message = host(|c| {
        c.same_site = SameSite::None;
        c.secure = Some(false);
    });
    assert!(
        message.starts_with("sessions.cookie.same_site"),
        "{message}"
    );
    for name in ["__Host-x", "__host-x", "__Secure-x", "a b", "a;b", ""] {
        let message = refusal(&CookieConfig {
            name: Some(name.into()),
            secure: Some(false),
            ..CookieConfig::default()
        });
        assert!(
            message.starts_with("sessions.cookie.name"),
            "{name}: {message}"
        );
    }
}

#[test]
fn a_partitioned_cookie_is_set_and_removed_as_one() {
    let config = CookieConfig {
        partitioned: true,
        same_site: SameSite::None,
        ..CookieConfig::default()
    };
    let (policy, now) = (policy(&config, false), Utc::now());
    for cookie in [policy.issue("v".into(), now, now, false), policy.removal()] {
        let cookie = cookie.to_string();
        for attribute in ["; SameSite=None", "; Secure", "; Partitioned"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
    }
    let plain = CookieConfig {
        secure: Some(false),
        ..config.clone()
    };
    assert!(refusal(&plain).contains("secure = true"));
    for same_site in [SameSite::Lax, SameSite::Strict] {
        let message = refusal(&CookieConfig {
            same_site,
            ..config.clone()
        });
        assert!(
            message.starts_with("sessions.cookie.partitioned = true"),
            "{message}"
        );
        assert!(message.contains("same_site"), "{message}");
    }
}

#[test]
fn a_secure_cookie_without_a_prefix_causes_a_warning() {
    let of = |name: Option<&str>, secure| {
        let config = CookieConfig {
            name: name.map(Into::into),
            secure: Some(secure),
            ..CookieConfig::default()
        };
        policy(&config, false).warning()
    };
    assert!(
        of(Some("sid"), true)
            .unwrap()
            .contains("sessions.cookie.name = \"sid\"")
    );
    assert_eq!(of(Some("sid"), false), None);
    assert_eq!(of(None, true), None);
    assert_eq!(of(Some("__Secure-sid"), true), None);
}

#[test]
fn checking_the_prefix_of_a_multibyte_name_does_not_panic() {
    assert!(
        refusal(&CookieConfig {
            name: Some("__Hosté-ü".into()),
            ..CookieConfig::default()
        })
        .starts_with("sessions.cookie.name")
    );
}

#[test]
fn i3_only_space_and_tab_are_trimmed_around_names_and_values() {
    let policy = policy(&CookieConfig::default(), false);
    let others: Vec<char> = (char::MIN..=char::MAX)
        .filter(|c| (c.is_whitespace() || c.is_control()) && !BLANKS.contains(c))
        .collect();
    assert!(others.len() > 20);
    for c in others {
        for header in [
            format!("{c}__Host-session=x"),
            format!("__Host-session{c}=x"),
            format!(" {c}\t__Host-session=x"),
        ] {
            assert_eq!(
                policy.candidates([header.as_str()].into_iter()).next(),
                None
            );
        }
        let value = format!("{c}x{c}");
        let header = format!("__Host-session={value}");
        let mut found = policy.candidates([header.as_str()].into_iter());
        assert_eq!(found.next(), Some(value.as_str()));
    }
    let blanks = "a=1;\t __Host-session \t=\t x \t";
    assert_eq!(policy.candidates([blanks].into_iter()).next(), Some("x"));
}

#[test]
fn every_cookie_with_the_configured_name_is_a_candidate() {
    let policy = policy(&CookieConfig::default(), true);
    let headers = [
        "a=1; session=x; sessions=no; session=y",
        "session = z ;;=;q",
    ];
    let found: Vec<_> = policy.candidates(headers.into_iter()).collect();
    assert_eq!(found, ["x", "y", "z"]);
}
