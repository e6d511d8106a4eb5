//! Requirements of every page, for every visitor.

use fantoccini::key::Key;
use rocket::serde::json::{Value, from_str, json};

use crate::support::site::{
    OTHER_DEVICE, PASSWORD, SAVE_SETTINGS, assert_fits, assert_quiet, assert_sound, fill_in,
    in_a_tab, in_chromium, register, sign_in,
};
use crate::support::{Chromium, Database, Kind, Server, Tab};

/// Opens each page in turn, with names of the maximum length, and passes it to `looked_at`.
fn walk(chromium: &Chromium, looked_at: impl Fn(&Tab)) {
    let database = Database::new(Kind::Sqlite).unwrap();
    let always = ("ROCKET_APP", r#"{reauthenticate_after="0s"}"#);
    let server = Server::start_with(&database, &[always]);
    let name = "w".repeat(64);
    let tab = chromium.open(&server);
    let visit = |path: &str| {
        tab.goto(path);
        assert_eq!(tab.path(), path);
        looked_at(&tab);
    };
    for path in [
        "/",
        "/login",
        "/register",
        "/signed-out",
        "/account-deleted",
        "/nowhere",
    ] {
        visit(path);
    }
    tab.goto("/login");
    fill_in(&tab, &name, "a wrong one");
    assert_eq!(tab.count("[role=alert]"), 1);
    looked_at(&tab);

    register(&tab, &name);
    looked_at(&tab);
    tab.goto("/");
    tab.fill("display_name", &"m".repeat(64));
    tab.click(SAVE_SETTINGS);
    looked_at(&tab);
    let other = chromium.open(&server);
    sign_in(&other, &name);
    visit("/account");
    visit("/account/delete");
    visit("/account");
    tab.click(&format!("{OTHER_DEVICE} button"));
    assert_eq!(tab.text("h1"), "Confirm your password");
    looked_at(&tab);
}

#[test]
fn every_page_is_valid_html_whose_fields_have_labels() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    walk(chromium, |tab| {
        assert_sound(tab);
    });
}

#[test]
fn no_page_scrolls_sideways_on_a_phone() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    walk(chromium, |tab| {
        for width in [390, 320] {
            tab.set_width(width);
            assert_fits(tab, width);
        }
        tab.set_width(1000);
    });
}

#[test]
fn pages_load_nothing_from_other_hosts_and_keep_the_csp() {
    in_chromium(|chromium, server| {
        let tab = &chromium.open(&server);
        for path in [
            "/",
            "/login",
            "/register",
            "/signed-out",
            "/account-deleted",
        ] {
            tab.goto(path);
        }
        register(tab, "hopper");
        assert_quiet(tab);

        let network = tab.log("performance");
        let requested: Vec<String> = network.iter().filter_map(requested_url).collect();
        let ours = |url: &String| url.starts_with(server.url());
        assert!(
            requested.len() > 6 && requested.iter().all(ours),
            "{requested:?}"
        );
    });
}

/// Returns the URL of a network log entry if it is a request.
fn requested_url(entry: &Value) -> Option<String> {
    let entry: Value = from_str(entry["message"].as_str()?).ok()?;
    let event = &entry["message"];
    let is_request = event["method"] == "Network.requestWillBeSent";
    let url = event["params"]["request"]["url"].as_str()?;
    is_request.then(|| url.to_owned())
}

#[test]
fn the_first_tab_stop_is_a_link_that_skips_to_the_content() {
    in_a_tab(|tab| {
        register(tab, "hopper");
        let is_on_screen = "const {left, top} = document.activeElement.getBoundingClientRect(); \
                        return left >= 0 && top >= 0";
        for path in ["/", "/account", "/nowhere"] {
            tab.goto(path);
            tab.press(Key::Tab);
            assert_eq!(tab.text(":focus"), "Skip to content");
            assert_eq!(tab.execute(is_on_screen), json!(true));
            tab.press(Key::Enter);
            // Waits for the jump.
            tab.text("main:target");
            tab.press(Key::Tab);
            assert_eq!(tab.count("main :focus"), 1, "{path}");
        }
    });
}

#[test]
fn a_user_can_sign_in_with_only_the_keyboard() {
    in_chromium(|chromium, server| {
        register(&chromium.open(&server), "hopper");
        let tab = chromium.open(&server);
        tab.goto("/login");
        for password in ["a wrong one", PASSWORD] {
            if tab.count("[role=alert]") == 0 {
                tab.type_in("hopper");
                tab.press(Key::Tab);
            }
            tab.type_in(password);
            tab.submit();
        }
        assert_eq!(tab.path(), "/account");
    });
}
