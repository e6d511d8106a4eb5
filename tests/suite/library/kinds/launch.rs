//! What stops the launch of an application with several kinds of session.

use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;
use rocket::local::asynchronous::Client;
use rocket::{Build, Rocket};
use rocket_diesel_sessions::{Attached, SessionConfig, SessionKeys, Sessions};

use super::office::{Staff, with_routes};
use crate::support::embedded::{Cart, get, run};
use crate::support::local::{SECRET, figment};
use crate::support::{Database, Kind, logged};

/// Returns what the log says about a launch that must fail.
fn refusal(rocket: Rocket<Build>) -> String {
    let (ignited, said) = logged(rocket.ignite());
    let error = ignited.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::FailedFairings(_)),
        "{error}"
    );
    said
}

fn shop() -> Sessions<Cart> {
    Sessions::fairing().keys(SessionKeys::parse(SECRET).unwrap())
}

#[test]
fn i12_kinds_that_contradict_each_other_stop_the_launch() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let staff = || Sessions::<Staff>::fairing().named("staff");
    let rocket = |settings: &str| {
        let sessions = format!("url = '{}'\n{settings}", database.raw_url());
        rocket::custom(figment("debug", &sessions)).attach(shop())
    };
    let section = |setting: &str| format!("[default.sessions.staff]\n{setting}");
    for (rocket, parts) in [
        (
            rocket("").attach(staff()).attach(staff()),
            ["Staff>", "attached twice"],
        ),
        (
            rocket("").attach(Sessions::<Staff>::fairing()),
            ["without a name", "attached twice"],
        ),
        (
            rocket("")
                .attach(staff())
                .attach(Sessions::<u64>::fairing().named("staff")),
            ["\"staff\"", "attached twice"],
        ),
        (
            rocket(&section("cookie.name = 'session'")).attach(staff()),
            [
                "sessions.staff.cookie.name = session",
                "another kind's cookie",
            ],
        ),
        (
            rocket("known_devices = true").attach(Sessions::<Staff>::fairing().named("device")),
            [
                "sessions.device.cookie.name = session-device",
                "another kind's cookie",
            ],
        ),
        (
            rocket(&section("workers = 2")).attach(staff()),
            ["sessions.staff.workers", "share"],
        ),
        (
            rocket(&section("timeout = '1s'")).attach(staff()),
            ["sessions.staff.timeout", "share"],
        ),
        (
            rocket(&section("idle_timeout = '31d'")).attach(staff()),
            ["sessions.staff.idle_timeout", "30d"],
        ),
        (
            rocket(&section("idle_timout = '1h'")).attach(staff()),
            ["sessions.staff.idle_timout: unknown key", "idle_timeout"],
        ),
        (
            rocket(&section("idle_timeout = 5")).attach(staff()),
            ["sessions.staff.idle_timeout", "expected a duration"],
        ),
        (
            rocket(&section("cookie.same_site = 'none'")).attach(staff()),
            ["sessions.staff.cookie.same_site", "secure"],
        ),
        (
            rocket(&section("idle_timeout = '1h'")),
            ["[default.sessions.staff]", "attached are"],
        ),
        (
            rocket(&section("cokie.secure = true")).attach(staff()),
            ["sessions.staff.cokie", "unknown"],
        ),
        (
            rocket("[default.sessions.cokie]\nsecure = true"),
            ["sessions.cokie.secure", "unknown"],
        ),
        (
            rocket("").attach(Sessions::<Staff>::fairing().named("Staff")),
            ["\"Staff\"", "lower-case letters"],
        ),
        (
            rocket("").attach(Sessions::<Staff>::fairing().named("cookie")),
            ["\"cookie\"", "not the name of a setting"],
        ),
        (
            rocket("").attach(staff().statistics(database.store())),
            ["Sessions::statistics", "attached first"],
        ),
    ] {
        let said = refusal(rocket);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_kind_that_cannot_be_set_up_is_the_only_error() {
    let settings = "[default.sessions.staff]\nworkers = 2";
    let database = Database::new(Kind::Sqlite).unwrap();
    let sessions = format!("url = '{}'\n{settings}", database.raw_url());
    let rocket = rocket::custom(figment("debug", &sessions)).attach(shop());
    let said = refusal(rocket.attach(Sessions::<Staff>::fairing().named("staff")));
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
}

#[test]
fn external_users_given_in_code_hold_for_later_kinds_too() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let sessions = format!("url = '{}'", database.raw_url());
    let rocket = rocket::custom(figment("debug", &sessions))
        .attach(shop().external_users())
        .attach(Sessions::<Staff>::fairing().named("staff"));
    let rocket = with_routes(rocket);
    run(async {
        let client = Client::untracked(rocket).await.unwrap();
        let staff = get(&client, "/staff/login/7", None).await.cookie().unwrap();
        assert_eq!(get(&client, "/staff/who", Some(&staff)).await.body, "7");
    });
    assert_eq!(
        database.number("SELECT count(*) AS n FROM sqlite_master WHERE name = 'users'"),
        0
    );
}

#[test]
fn settings_of_a_kind_given_in_code_get_its_cookie_name() {
    let figment = figment("release", "cookie.name = 'sid'");
    let staff = SessionConfig::of_kind(&figment, "staff").unwrap();
    assert_eq!(staff.cookie.name.as_deref(), Some("__Host-session-staff"));
    let shop = SessionConfig::from_figment(&figment).unwrap();
    assert_eq!(shop.cookie.name.as_deref(), Some("sid"));
}

#[test]
fn a_kind_can_be_attached_by_a_fairing_that_ignites() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let settings = format!(
        "url = '{}'\n[default.sessions.staff]\nidle_timeout = '1h'",
        database.raw_url()
    );
    // Beside the first kind, and by a fairing that is itself attached in this way.
    let staff = AdHoc::on_ignite("Staff", |rocket| async {
        rocket.attach(Sessions::<Staff>::fairing().named("staff"))
    });
    let parts = AdHoc::on_ignite("Parts", |rocket| async { rocket.attach(staff) });
    let rocket = rocket::custom(figment("debug", &settings))
        .attach(shop())
        .attach(parts);
    let rocket = crate::support::embedded::run(rocket.ignite()).unwrap();
    assert!(rocket.state::<Attached<Staff>>().is_some());
}
