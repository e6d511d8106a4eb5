//! One user in several browsers.

use crate::support::site::{
    COUNT_A_VISIT, OTHER_DEVICE, PASSWORD, SAVE_SETTINGS, SEND, assert_signed_out, fill_in,
    register, sign_in,
};
use crate::support::{Chromium, Database, Kind, Server, wait_until};

on_each_database! {
    /// Follows a user from the first visit to the sign-out of a device.
    fn a_device_signed_out_from_another_is_out_at_its_next_click(database: &Database) {
        let Some(chromium) = Chromium::find() else { return };
        let server = Server::start(database);
        let here = chromium.open(&server);
        here.goto("/");
        here.click(COUNT_A_VISIT);
        here.click(COUNT_A_VISIT);
        here.fill("display_name", "Amazing Grace");
        here.click(SAVE_SETTINGS);
        register(&here, "hopper");
        assert_eq!(here.text("#notice"), "Welcome! Your account is ready.");
        here.follow("Diesel Sessions");
        assert_eq!(here.text("#visit-count"), "2", "kept from before registering");
        assert_eq!(here.text("h1"), "Hello, Amazing Grace", "kept from before registering");
        here.click(COUNT_A_VISIT);
        assert_eq!(here.text("#visit-count"), "3");

        let there = chromium.open(&server);
        sign_in(&there, "hopper");
        here.goto("/account");
        for device in [&here, &there] {
            assert_eq!(device.count(".device"), 2);
            assert_eq!(device.count(".badge"), 1);
            assert_eq!(device.text("#this-device .badge"), "this device");
        }
        here.click(&format!("{OTHER_DEVICE} button"));
        assert_eq!(here.path(), "/account");
        assert_eq!(here.text("#notice"), "That device is signed out.");
        assert_eq!((here.count(".device"), here.count("#this-device")), (1, 1));

        there.goto("/account");
        assert_eq!(there.path(), "/login");
        assert_signed_out(&there, "hopper");
        there.back();
        assert_signed_out(&there, "hopper");
        there.goto("/");
        assert_signed_out(&there, "hopper");
        here.reload();
        assert_eq!(here.text("#user span"), "hopper");
    }

    fn a_restart_of_the_server_signs_no_one_out(database: &Database) {
        let Some(chromium) = Chromium::find() else { return };
        let server = Server::start(database);
        let mut tab = chromium.open(&server);
        tab.goto("/");
        tab.click(COUNT_A_VISIT);
        register(&tab, "hopper");
        assert_eq!(server.terminate(), Some(0));
        let server = Server::start(database);
        tab.set_server(&server);
        tab.goto("/account");
        assert_eq!(tab.path(), "/account");
        assert_eq!(tab.text("#user span"), "hopper");
        tab.goto("/");
        assert_eq!(tab.text("#visit-count"), "1");
    }
}

#[test]
fn signing_a_device_out_needs_a_recent_password() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let always = ("ROCKET_APP", r#"{reauthenticate_after="0s"}"#);
    let server = Server::start_with(&database, &[always]);
    let (here, there) = (chromium.open(&server), chromium.open(&server));
    register(&there, "hopper");
    sign_in(&here, "hopper");
    here.click(&format!("{OTHER_DEVICE} button"));
    assert_eq!(here.text("h1"), "Confirm your password");
    assert_eq!(here.count("[role=alert]"), 0, "nothing was wrong yet");

    here.fill("password", "a wrong one");
    here.click(SEND);
    assert!(here.text("[role=alert]").contains("wrong"));
    assert_eq!(here.text("h1"), "Confirm your password");
    there.reload();
    assert_eq!(there.count(".device"), 2, "nobody is signed out yet");

    here.fill("password", PASSWORD);
    here.click(SEND);
    assert_eq!(here.text("#notice"), "That device is signed out.");
    assert_eq!(here.count(".device"), 1);
    there.reload();
    assert_eq!(there.path(), "/login");
    fill_in(&there, "hopper", PASSWORD);
    assert_eq!(there.count(".device"), 2);
}

#[test]
fn a_page_warns_before_its_session_ends_and_can_keep_it() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let settings = r#"{timeout="20s",idle_timeout="14s",touch_interval="0s"}"#;
    let server = Server::start_with(&database, &[("ROCKET_SESSIONS", settings)]);
    let tab = chromium.open(&server);
    register(&tab, "hopper");
    tab.goto("/account");
    assert_eq!(tab.count("#idle-warning"), 0);
    wait_until("the page warns", || tab.count("#idle-warning button") == 1);
    let warning = tab.text("#idle-warning");
    assert!(
        warning.starts_with("You will be signed out in "),
        "{warning}"
    );
    assert!(!warning.contains(" 0 seconds"), "too late: {warning}");
    tab.execute("document.querySelector('#idle-warning button').click()");
    wait_until("the warning is gone", || tab.count("#idle-warning") == 0);
    wait_until("the session has ended", || {
        tab.count("#idle-warning a") == 1
    });
    assert_eq!(
        tab.text("#idle-warning"),
        "You have been signed out. Sign in again"
    );
    tab.click("#idle-warning a");
    assert_eq!(tab.path(), "/login");
}
