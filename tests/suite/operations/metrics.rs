//! `/metrics`: names and help texts by the rules of Prometheus' `promtool`, and what is counted.

use std::collections::HashSet;

use rocket::serde::json::json;

use crate::support::exported::{exported, families, samples};
use crate::support::local::{ADMIN_TOKEN, Visitor, application, application_of, figment, settings};
use crate::support::{Database, Kind, metric_of};

#[test]
fn metric_names_and_help_texts_follow_the_rules_of_promtool() {
    let text = exported();
    let families = families(&text);
    let mut names = HashSet::new();
    for (name, kind) in &families {
        assert!(names.insert(*name), "{name} is there twice");
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(is_lower) && !name.contains("__"), "{name}");
        assert!(
            ["counter", "gauge", "histogram"].contains(kind),
            "{name}: {kind}"
        );
        assert_eq!(
            name.ends_with("_total"),
            *kind == "counter",
            "{name}: {kind}"
        );
        for suffix in [
            "_count",
            "_sum",
            "_bucket",
            "_counter",
            "_gauge",
            "_histogram",
        ] {
            assert!(!name.ends_with(suffix), "{name}");
        }
        for word in name.split('_') {
            let of_no_base = [
                "ms",
                "us",
                "ns",
                "s",
                "sec",
                "millis",
                "milliseconds",
                "microseconds",
                "nanoseconds",
                "minutes",
                "hours",
                "days",
                "kb",
                "mb",
                "kib",
                "mib",
                "kilobytes",
                "megabytes",
                "bits",
                "percent",
                "percentage",
            ];
            assert!(!of_no_base.contains(&word), "{name} is of no base unit");
        }
        let help = format!("# HELP {name} ");
        let helps: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&help))
            .collect();
        assert!(
            helps.len() == 1 && helps[0].len() > help.len() + 5,
            "{name}: {helps:?}"
        );
    }
    let mut seen = HashSet::new();
    for (name, labels) in samples(&text) {
        assert!(
            seen.insert((name, labels)),
            "{name}{{{labels}}} is there twice"
        );
        let of_family = |(family, kind): &&(&str, &str)| match *kind {
            "histogram" => name
                .strip_prefix(family)
                .is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
            _ => name == *family,
        };
        let family = families.iter().find(of_family);
        let kind = family.unwrap_or_else(|| panic!("{name} has no type")).1;
        let has_bound = labels.split(',').any(|label| label.starts_with("le="));
        assert_eq!(
            has_bound,
            kind == "histogram" && name.ends_with("_bucket"),
            "{name}"
        );
    }
}

#[test]
fn every_label_value_is_exported_from_the_start() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let text = Visitor::new(&client).get("/metrics").body;
    for action in ["login", "register", "password", "reauthenticate"] {
        for result in ["ok", "failed", "limited", "refused"] {
            let labels = format!("action=\"{action}\",result=\"{result}\"");
            assert_eq!(
                metric_of(&text, &format!("sessions_auth_attempts_total{{{labels}}}")),
                0
            );
        }
    }
    for name in [
        "sessions_errors_total{kind=\"outage\"}",
        "sessions_errors_total{kind=\"refused\"}",
        "sessions_missed_total{reason=\"forged\"}",
        "sessions_ended_total{reason=\"cleared\"}",
        "sessions_abandoned_total{kind=\"closure\"}",
        "sessions_http_requests_total{status=\"1xx\"}",
        "sessions_http_requests_total{status=\"5xx\"}",
        "sessions_http_request_duration_seconds_count",
        "sessions_sweep_failures_total",
        "sessions_calls_in_progress{kind=\"long\"}",
    ] {
        assert_eq!(metric_of(&text, name), 0, "{name}");
    }
    // Limits from the settings.
    for (name, limit) in [
        ("sessions_queue_limit{kind=\"load\"}", 4096),
        ("sessions_queue_limit{kind=\"write\"}", 4096),
        ("sessions_calls_limit{kind=\"long\"}", 1),
        ("sessions_database_up", 1),
    ] {
        assert_eq!(metric_of(&text, name), limit, "{name}");
    }
    assert!(metric_of(&text, "sessions_pool_size") > 0);
    assert!(metric_of(&text, "sessions_calls_limit{kind=\"direct\"}") > 0);
    assert_eq!(
        metric_of(
            &text,
            concat!(
                "sessions_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"}"
            )
        ),
        1
    );
    if cfg!(target_os = "linux") {
        assert!(metric_of(&text, "process_resident_memory_bytes") > 1_000_000);
    }
}

/// Returns the count of each result of an action: ok, failed, limited, refused.
fn attempts(visitor: &mut Visitor<'_>, action: &str) -> [u64; 4] {
    let text = visitor.get("/metrics").body;
    ["ok", "failed", "limited", "refused"].map(|result| {
        let labels = format!("action=\"{action}\",result=\"{result}\"");
        metric_of(&text, &format!("sessions_auth_attempts_total{{{labels}}}"))
    })
}

on_each_database! {
    fn password_attempts_are_counted_by_their_result(database: &Database) {
        let mut settings = settings(database, "max_sessions_per_user = 2\non_session_limit = 'refuse'");
        settings.app.guesses_per_user = 3.try_into().unwrap();
        settings.app.guesses_per_address = 1000.try_into().unwrap();
        let (client, clock) = application_of(settings, database.store());
        let [mut ada, mut phone, mut tablet, mut monitor] = [(); 4].map(|()| Visitor::new(&client));
        let (right, new) = ("a password that is long", "another that is long");
        assert_eq!(ada.enter("register", "ada", right).status.code, 201);
        assert_eq!(tablet.enter("register", "ada", right).status.code, 409);
        assert_eq!(tablet.enter("register", "bob", "short").status.code, 422);
        assert_eq!(attempts(&mut monitor, "register"), [1, 0, 0, 2]);
        assert_eq!(attempts(&mut monitor, "login"), [0, 0, 0, 0]);

        assert_eq!(phone.enter("login", "ada", right).status.code, 200);
        // The password is correct, but the login is refused because of the limit of sessions.
        assert_eq!(tablet.enter("login", "ada", right).status.code, 409);
        assert_eq!(attempts(&mut monitor, "login"), [1, 0, 0, 1]);
        for status in [401, 401, 401, 429] {
            assert_eq!(tablet.enter("login", "ada", "wrong").status.code, status);
        }
        assert_eq!(attempts(&mut monitor, "login"), [1, 3, 1, 1]);

        let mut change = |current: &str, new: &str| {
            let body = json!({"currentPassword": current, "newPassword": new}).to_string();
            ada.post_json("/api/account/password", &body).status.code
        };
        assert_eq!(change("wrong", new), 401);
        assert_eq!(change(right, "short"), 422);
        assert_eq!(change(right, new), 204);
        assert_eq!(attempts(&mut monitor, "password"), [1, 1, 0, 1]);

        // A page asks for the password again, some time later.
        clock.advance(chrono::TimeDelta::minutes(11));
        let mut again = |password: &str| {
            let body = format!("password={}", password.replace(' ', "+"));
            ada.post_form("/account/sessions/end-others", &body).status.code
        };
        assert_eq!(again("wrong"), 401);
        assert_eq!(again(new), 303);
        assert_eq!(attempts(&mut monitor, "reauthenticate"), [1, 1, 0, 0]);
        // An outage does not count as an attempt.
        assert_eq!(attempts(&mut monitor, "login"), [1, 3, 1, 1]);
    }
}

#[test]
fn requests_are_counted_by_status_and_timed() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    let mut visitor = Visitor::new(&client);
    for path in [
        "/healthz",
        "/healthz",
        "/nothing",
        "/api/session/sessions",
        "/admin",
    ] {
        visitor.get(path);
    }
    let request = client.get("/metrics");
    let token = rocket::http::Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let text = request.header(token).dispatch().into_string().unwrap();
    for (class, number) in [("2xx", 2), ("3xx", 0), ("4xx", 3), ("5xx", 0)] {
        let name = format!("sessions_http_requests_total{{status=\"{class}\"}}");
        assert_eq!(metric_of(&text, &name), number, "{class}");
    }
    assert_eq!(
        metric_of(&text, "sessions_http_request_duration_seconds_count"),
        5
    );
}
